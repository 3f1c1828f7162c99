from tcpcore.components.events import EVENT as EVENT

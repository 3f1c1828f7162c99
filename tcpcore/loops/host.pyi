from tcpcore.records.layouts import EVENT as EVENT

from tcpcore.records.layouts import SEGMENT as SEGMENT

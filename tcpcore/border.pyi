from tcpcore.records.segment import SEGMENT as SEGMENT

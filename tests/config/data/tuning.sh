#!/bin/sh
sysctl -w net.core.somaxconn=9000
/sbin/sysctl -q -w net.ipv4.ip_local_port_range="3000 64000" net.ipv4.tcp_sack=0  # both
sudo sysctl -w 'net.ipv4.tcp_rmem=4096 87380 1048576'; echo done

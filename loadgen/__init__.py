"""loadgen: handshake and close workloads on two tcpcore engines, in virtual time.

    cli -> options -> workload -> runner -> link
                          |-> metrics -> report

Two kinds of time, never mixed: *wall* (how fast the engine is) and *virtual* (what the
clients see). Every random choice depends on (seed, replicate) only.
"""

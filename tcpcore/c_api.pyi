from tcpcore.engine import Engine

_C_API: object

def engine_capsule(engine: Engine) -> object: ...

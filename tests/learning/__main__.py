"""`python -m tests.learning` (`make state-machine`): learn the machine, draw docs/state-machine.svg again."""

from tcpcore import Engine
from tests.learning.machine import Picture, learn
from tests.learning.picture import PAGE, draw

PAGE.write_text(draw(Picture(learn(Engine), Engine)), encoding="utf-8")
print(PAGE)

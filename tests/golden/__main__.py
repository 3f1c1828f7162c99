from tests.golden.table import GOLDEN, printed

GOLDEN.write_text(printed())
print(GOLDEN)

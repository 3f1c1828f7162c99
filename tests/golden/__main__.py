from tests.golden.table import GOLDEN, printed

if __name__ == "__main__":
    for profile, file in GOLDEN.items():
        file.write_text(printed(profile))

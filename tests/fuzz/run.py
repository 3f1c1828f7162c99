"""libFuzzer around `script.play`: `make fuzz` starts this where the sanitized modules are.

The arguments are libFuzzer's own. libFuzzer is a library that was loaded before Python (LD_PRELOAD), and the
modules count in it what they reach. A script that fails is printed as Python source and the process aborts:
libFuzzer then keeps the bytes in crash-... and says so.
"""

import ctypes
import os
import sys
import traceback

from tests.fuzz.script import play

CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)


def one(address, size):
    """Play the bytes at this address."""
    data = ctypes.string_at(address, size) if size else b""
    try:
        play(data)
    except BaseException:
        traceback.print_exc()
        print("\n--- the calls:", file=sys.stderr)
        try:
            play(data, trace=lambda line: print(line[:4000], file=sys.stderr))
        except BaseException as error:
            print(f"--- {type(error).__name__}: {str(error)[:4000]}", file=sys.stderr, flush=True)
        os.abort()
    return 0


def main():
    driver = getattr(ctypes.CDLL(None), "LLVMFuzzerRunDriver", None)
    if driver is None:
        sys.exit("libFuzzer is not loaded: use make fuzz")
    arguments = [os.fsencode(argument) for argument in sys.argv]
    argc = ctypes.c_int(len(arguments))
    argv = (ctypes.c_char_p * (len(arguments) + 1))(*arguments, None)
    pointer = ctypes.cast(argv, ctypes.POINTER(ctypes.c_char_p))
    sys.exit(driver(ctypes.byref(argc), ctypes.byref(pointer), CALLBACK(one)))


if __name__ == "__main__":
    main()

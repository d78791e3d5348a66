"""What holds for every test: processes that tests start find signals as a command in the foreground does."""

import signal


def pytest_configure() -> None:
    """Ignore no Ctrl-C: a shell's background command inherits that it is ignored, and would hand it on."""
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)

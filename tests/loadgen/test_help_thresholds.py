"""Every threshold that a help text shows is one that can be given."""

import re

import click
import pytest

from loadgen.cli import main
from loadgen.report import metrics

SHOWN = re.compile(r"'([a-z_A-Z.0-9]+ *(?:<=|>=|==|<|>) *[\w.%+-]+)'")


def commands():
    context = click.Context(main)
    return {name: main.get_command(context, name) for name in main.list_commands(context)}


@pytest.mark.parametrize("name", sorted(commands()))
def test_the_thresholds_of_the_help_can_be_given(name):
    command = commands()[name]
    text = command.get_help(click.Context(command, info_name=name))
    for shown in SHOWN.findall(" ".join(text.split())):
        assert metrics.find(re.split("[<>=]", shown)[0].strip()) is not None, shown

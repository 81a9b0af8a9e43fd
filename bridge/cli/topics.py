"""``topics``: list, describe and create topics of a stream."""

from typing import Annotated

import typer
from rich.table import Table

from bridge.cli.console import ConfigOption, DjangoOption, JsonOption, counted, out, print_json, read_settings
from bridge.kafka.admin import Admin
from bridge.kafka.connection import connect_settings

__all__ = ["app"]

app = typer.Typer(help="Topics of a stream: list, describe, create.", no_args_is_help=True)

StreamArgument = Annotated[str, typer.Argument(metavar="STREAM", help="Key of the stream in DATA_SHARING.")]
PlaceArgument = Annotated[str, typer.Argument(metavar="STREAM:TOPIC", help="A topic of a stream.")]


@app.command("list")
def topics_list(
    stream: StreamArgument,
    config: ConfigOption = None,
    django_settings: DjangoOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the topics of a stream that its login may see."""
    settings = read_settings(config, django_settings)
    topics = Admin(connect_settings(stream, settings.stream(stream))).topics()
    if as_json:
        for topic in topics.values():
            print_json({"topic": topic.name, "partitions": topic.partitions, "replicas": topic.replicas})
        return
    table = Table("topic", "partitions", "replicas")
    for topic in topics.values():
        table.add_row(topic.name, str(topic.partitions), str(topic.replicas))
    out.print(table)


@app.command("describe")
def topics_describe(
    place: PlaceArgument, config: ConfigOption = None, django_settings: DjangoOption = None, as_json: JsonOption = False
) -> None:
    """Show the partitions of a topic, and how many events each keeps."""
    stream, topic = read_settings(config, django_settings).stream_topic(place, only_user_topics=False)
    extents = Admin(connect_settings(topic.stream, stream)).extents(topic.topic)
    if as_json:
        for number, (low, high) in extents.items():
            print_json({"partition": number, "first_offset": low, "next_offset": high})
        return
    table = Table("partition", "first offset", "next offset", "events kept at most")
    for number, (low, high) in extents.items():
        table.add_row(str(number), str(low), str(high), str(high - low))
    out.print(table)


@app.command("create")
def topics_create(
    place: PlaceArgument,
    partitions: Annotated[int, typer.Option(min=1, help="Can't be lowered later; raising it breaks order.")] = 4,
    replicas: Annotated[int, typer.Option(min=1, help="Copies of each partition; 3 on a cluster that matters.")] = 1,
    config: ConfigOption = None,
    django_settings: DjangoOption = None,
) -> None:
    """Create a topic."""
    stream, topic = read_settings(config, django_settings).stream_topic(place, only_user_topics=False)
    Admin(connect_settings(topic.stream, stream)).create(topic.topic, partitions=partitions, replicas=replicas)
    out.print(f"{place} created with {counted(partitions, 'partition')}")

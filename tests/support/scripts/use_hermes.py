"""Do with TOM Toolkit's own Hermes code what its users do, and read what others share: run in a TOM by `Tom.run_script`.

The payload has an ``action``:

publish  TOM Toolkit 2's ``publish_to_hermes`` for all that a target has
menu     the destinations that its forms offer
post     a request to a page of the TOM, by its URL name, as a user
read     TOM Toolkit 2's own handler of Hermes messages, given their contents
"""

import json
import sys
from types import SimpleNamespace

from django.contrib.auth.models import User
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse
from tom_targets.models import Target


def main(payload):
    return {"publish": publish, "menu": menu, "post": post, "read": read}[payload.pop("action")](**payload)


def publish(target, topic, **words):
    from tom_dataproducts.alertstreams.hermes import BuildHermesMessage, publish_to_hermes
    from tom_dataproducts.models import ReducedDatum
    from tom_dataproducts.sharing import sharing_feedback_converter

    targets = Target.objects.filter(name=target)
    datums = ReducedDatum.objects.filter(target__in=targets)
    response = publish_to_hermes(BuildHermesMessage(topic=topic, **words), datums, targets)
    shared = ReducedDatum.objects.filter(target__in=targets, message__exchange_status="published", message__topic=topic)
    return {
        "status": getattr(response, "status_code", None),
        "said": sharing_feedback_converter(response),
        "marked": shared.distinct().count(),
        "ids": sorted({message.message_id for datum in shared for message in datum.message.all()}),
    }


def menu():
    from tom_dataproducts.sharing import get_sharing_destination_options

    return get_sharing_destination_options(include_download=False)


def post(name, target, user, form):
    client = Client(headers={"host": "localhost"})
    client.force_login(User.objects.get(username=user))
    response = client.post(reverse(name, kwargs={"pk": Target.objects.get(name=target).pk}), form)
    said = [str(message) for message in get_messages(response.wsgi_request)]
    return {"status": response.status_code, "location": response.headers.get("Location", ""), "said": said}


def read(contents):
    from tom_dataproducts.alertstreams.hermes import hermes_alert_handler
    from tom_dataproducts.models import ReducedDatum

    before = ReducedDatum.objects.count()
    for content in contents:
        hermes_alert_handler(SimpleNamespace(content=content), SimpleNamespace(topic=content["topic"]))
    return ReducedDatum.objects.count() - before


print("TOM-RESULT " + json.dumps(main(json.load(sys.stdin))))

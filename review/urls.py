"""The reviewers' pages."""

from django.urls import path, re_path

from review.views import evidence, items, media, queue

app_name = "review"

_ITEM = "items/<uuid:item_id>/"

urlpatterns = [
    path("", queue.queue, name="queue"),
    path("next", queue.claim_next, name="claim-next"),
    path(_ITEM, items.item, name="item"),
    path(_ITEM + "panel", items.panel, name="panel"),
    path(_ITEM + "evidence/<int:score_id>/", evidence.panel, name="evidence"),
    path(_ITEM + "evidence/<int:score_id>/again", evidence.again, name="evidence-again"),
    path(_ITEM + "evidence/<int:score_id>/record.json", evidence.record, name="evidence-record"),
    path(_ITEM + "claim", items.claim, name="claim"),
    path(_ITEM + "renew", items.renew, name="renew"),
    path(_ITEM + "release", items.release, name="release"),
    path(_ITEM + "decide", items.decide, name="decide"),
    path(_ITEM + "undo", items.undo, name="undo"),
    path(_ITEM + "escalate", items.escalate, name="escalate"),
    path(_ITEM + "media", media.original, name="media"),
    path(_ITEM + "preview/manifest.json", media.manifest, name="manifest"),
    re_path(
        r"^items/(?P<item_id>[0-9a-f-]{36})/preview/(?P<name>picture|thumbnail|frame-[0-9]{1,3})\.jpg$",
        media.picture,
        name="picture",
    ),
    re_path(
        r"^items/(?P<item_id>[0-9a-f-]{36})/evidence/(?P<score_id>[0-9]{1,18})/(?P<name>[a-z]{1,20})\.png$",
        evidence.drawing,
        name="evidence-drawing",
    ),
]

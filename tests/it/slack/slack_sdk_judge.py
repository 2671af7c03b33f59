"""Each block of each body through Slack's own models.

In: a file with one message body a line. Out: how many were fine; ends with 1 at the first that is not.
"""

import json
import sys

from slack_sdk.models.blocks import Block

KNOWN = {"header", "section", "context"}

bodies = 0
with open(sys.argv[1], encoding="utf-8") as lines:
    for line in lines:
        body = json.loads(line)
        assert isinstance(body["text"], str) and body["text"]
        assert set(body) == {"text", "blocks"}, set(body)
        for given in body["blocks"]:
            assert given["type"] in KNOWN, given["type"]
            block = Block.parse(given)
            # An unknown type is parsed to nothing.
            assert block is not None, given
            block.validate_json()
            # What the SDK would send is what we send.
            sent = block.to_dict()
            if given["type"] != "context":
                assert sent["text"]["text"] == given["text"]["text"], (given, sent)
            else:
                assert [one["text"] for one in sent["elements"]] == [one["text"] for one in given["elements"]]
        bodies += 1
assert bodies >= 2000, bodies
print(f"all of {bodies} bodies")

"""Which requests and parameters of a recording Stripe's official SDK does not know.

In: JSON on stdin, `{"GET /v1/prices/{id}": ["expand[]", ...]}`. Out: one line for each that is unknown and 1, or "all known".
Paths are those that the SDK's services call, names those of their typed parameters, nested as on the wire.
"""

import importlib
import inspect
import json
import pkgutil
import re
import sys
import types
import typing

import stripe
import typing_extensions
from stripe._request_options import RequestOptions

assert stripe.VERSION == "16.1.0", stripe.VERSION
# Types that the SDK imports for type checkers only.
NOT_THERE = {"StripeContext": object, "Mapping": dict}
CALL = re.compile(r'self\._request\(\s*"(\w+)",\s*"(/v1/[^"]+)"')


def services():
    for module in pkgutil.walk_packages(stripe.__path__, "stripe."):
        if module.name.endswith("_service"):
            for _, one in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
                if one.__module__ == module.name:
                    yield one


def endpoints():
    """The typed parameters of each method and path."""
    found = {}
    for service in services():
        for _, method in inspect.getmembers(service, inspect.isfunction):
            call = CALL.search(inspect.getsource(method))
            if call:
                path = re.sub(r"\{\w+\}", "{id}", call[2])
                found[f"{call[1].upper()} {path}"] = (inspect.getmodule(method), method)
    return found


def typed(module, method):
    annotation = str(inspect.signature(method).parameters["params"].annotation)
    name = re.search(r"\w+Params", annotation)[0]
    path = re.search(rf"from (\S+) import (?:\([^)]*\b|.*\b){name}\b", inspect.getsource(module))[1]
    return getattr(importlib.import_module(path), name)


def names(kind, name):
    """Every name that a parameter of this type can have on the wire."""
    if typing_extensions.is_typeddict(kind):
        for key, inner in typing_extensions.get_type_hints(kind, localns=NOT_THERE).items():
            if name or key not in RequestOptions.__annotations__:
                yield from names(inner, f"{name}[{key}]" if name else key)
        return
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        for one in inner:
            yield from names(one, name)
    elif origin is list:
        yield from names(inner[0], f"{name}[]")
    elif origin is dict:
        yield f"{name}[*]"
    else:
        yield name


known, unknown = endpoints(), []
for request, parameters in sorted(json.load(sys.stdin).items()):
    if request not in known:
        unknown.append(request)
        continue
    allowed = set(names(typed(*known[request]), ""))
    for parameter in sorted(parameters):
        if not {parameter, re.sub(r"\[\w+\]$", "[*]", parameter)} & allowed:
            unknown.append(f"{request} {parameter}")
print("\n".join(unknown) or "all known")
sys.exit(bool(unknown))

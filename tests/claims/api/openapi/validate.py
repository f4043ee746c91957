"""Validates an OpenAPI document, and real answers against its schemas: validate.py openapi.json answers.json."""

import json
import sys

from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

document, answers = (json.load(open(path)) for path in sys.argv[1:])
validate(document)



def refs_in_all_of(node):
    """The schemas that are parts of others, and so must stay open."""
    if isinstance(node, dict):
        for part in node.get("allOf", []):
            if "$ref" in part:
                yield part["$ref"].rsplit("/", 1)[1]
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from refs_in_all_of(child)


# Strictly: a field that is not described is an error too.
parts = set(refs_in_all_of(document))
for name, schema in document["components"]["schemas"].items():
    if schema.get("type") == "object" and name not in parts:
        schema.setdefault("additionalProperties", False)

for answer in answers:
    if "schema" in answer:
        pointer = ["components", "schemas", answer["schema"]]
    else:
        operation = ["paths", answer["path"], answer["method"]]
        pointer = operation + ["responses", answer["status"]]
        response = document["paths"][answer["path"]][answer["method"]]["responses"][answer["status"]]
        if "$ref" in response:
            # What is shared says nothing of the codes of this route: its description does.
            assert f"`{answer['body']['code']}`" in response["description"], answer
            pointer = response["$ref"].split("/")[1:]
        pointer += ["content", answer["media"], "schema"]
    escaped = [step.replace("~", "~0").replace("/", "~1").replace("{", "%7B").replace("}", "%7D") for step in pointer]
    schema = {**document, "$ref": "#/" + "/".join(escaped), "unevaluatedProperties": False}
    validator = OAS31Validator(schema, format_checker=OAS31Validator.FORMAT_CHECKER)
    validator.validate(answer["body"])

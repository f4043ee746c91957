"""What schemathesis needs to know of this API besides its document."""

import schemathesis


@schemathesis.check
def documented_code(context, response, case):
    """A problem has a code that its route names beside the status: the schema of problems is one for all."""
    if "problem+json" not in "".join(response.headers.get("content-type", [])):
        return
    # What is asked by another method is in no operation of the document, and a HEAD has no body.
    if response.status_code == 405 or not response.content:
        return
    code = response.json()["code"]
    described = case.operation.schema.raw_schema["paths"][case.operation.path][case.operation.method.lower()]
    said = described["responses"].get(str(response.status_code), {}).get("description", "")
    assert f"`{code}`" in said, f"{response.status_code} {code} is not documented here"

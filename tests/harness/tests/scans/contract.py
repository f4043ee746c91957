"""What schemathesis needs to know of this API besides its document."""

import schemathesis


@schemathesis.serializer("application/x-pem-file")
def pem(context, value):
    return value if isinstance(value, bytes) else str(value).encode()

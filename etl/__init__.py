"""How a raw DICOM archive becomes an immutable, de-identified dataset version."""

import os

# Said before pyarrow is imported: its own pool keeps what it once had, and the driver may stand on a login node for hours.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

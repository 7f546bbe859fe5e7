"""An image for tests: nothing but folders, which a container fills with this machine's programs, read-only."""

import io
import tarfile

NAME = "leasehold-test:1"
BINDS = ("/usr", "/etc/alternatives")

_PASSWD = b"root:x:0:0:root:/root:/bin/bash\nplain:x:1000:1000::/tmp:/bin/bash\n"


def image_tar() -> bytes:
    """The image's files, for ``import``."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ("usr", "etc", "root", "proc", "dev", "sys", "sbin", "var", "tmp"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            archive.addfile(folder)
        for name in ("bin", "lib", "lib64"):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, f"usr/{name}"
            archive.addfile(link)
        users = tarfile.TarInfo("etc/passwd")
        users.size, users.mode = len(_PASSWD), 0o644
        archive.addfile(users, io.BytesIO(_PASSWD))
    return buffer.getvalue()

# SPDX-License-Identifier: MIT
"""One job, or a few, for a worker that is about to get into trouble: an emulator with canaries for secrets."""

import contextlib
import hashlib
import io
import uuid
import zipfile

import codepipeline
from test_worker import World, action

# Bytes that change in each way of writing text down: quotes, slashes, plus, percent, and a length of no round number.
OWNER_SECRET = 'canary/Owner+"secret"%of~no\\account1'
PARAMETER = "canary/Parameter+<value>&'of'an%action"
PARTNER = {"category": "Test", "owner": "ThirdParty", "provider": "Partner", "version": "1"}
CUSTOM = {"category": "Build", "owner": "Custom", "provider": "Builder", "version": "1"}
CUSTOMER = str(uuid.UUID(hashlib.sha256(b"client\n123456789012\nTest:ThirdParty:Partner:1").hexdigest()[:32]))
ORDER = {"minimumCount": 0, "maximumCount": 5}


def token_of(customer):
    return f"emulator-token-{customer}"


class Workbench:
    """An emulator, its owner's client, and the pipeline "p" with the action "Make", begun."""

    def __init__(self, folder, third_party=False, started=True, repeats="refuse"):
        self.third_party, self.folder, self.repeats = third_party, folder, repeats
        self.names = []
        self.open()
        self.world = World(self.emulator, self.client, folder)
        self.type = PARTNER if third_party else CUSTOM
        if third_party:
            self.add_partner()
        if started:
            self.start()

    def reopen(self):
        """The service, as it was, somewhere else."""
        self.close()
        self.open()
        self.world.client = self.client

    def open(self):
        self.emulator = codepipeline.Emulator(
            path=self.folder / "service.db",
            access_key_id="AKIACANARYOWNER00000",
            secret_access_key=OWNER_SECRET,
            repeats=self.repeats,
        )
        self.client = self.emulator.client()

    def start(self, name="p"):
        one = action("Make", outputs=["Binary"], UserParameters=PARAMETER)
        one["actionTypeId"] = self.type
        if self.third_party:
            one["configuration"] = {"Suite": "fast", "Password": PARAMETER}
        self.world.start(one, name=name)
        self.names.append(name)

    def add_partner(self):
        properties = [("Suite", False), ("Password", True)]
        self.client.update_action_type(
            actionType={
                "id": PARTNER,
                "executor": {
                    "type": "JobWorker",
                    "configuration": {"jobWorkerExecutorConfiguration": {"pollingAccounts": ["123456789012"]}},
                },
                "inputArtifactDetails": ORDER,
                "outputArtifactDetails": ORDER,
                "properties": [
                    {"name": name, "optional": False, "key": not hidden, "noEcho": hidden}
                    for name, hidden in properties
                ],
            }
        )

    def state(self, name="p"):
        return self.world.state(name=name)

    def read_object(self, bucket, key):
        path = self.folder / "read-object"
        self.client.download_file(bucket, key, path)
        data = path.read_bytes()
        path.unlink()
        with contextlib.suppress(zipfile.BadZipFile), zipfile.ZipFile(io.BytesIO(data)) as archive:
            data = archive.read(archive.namelist()[0])
        return data

    def secrets(self):
        return [OWNER_SECRET, PARAMETER, *([token_of(CUSTOMER)] if self.third_party else [])]

    def close(self):
        self.client.close()
        self.emulator.close()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

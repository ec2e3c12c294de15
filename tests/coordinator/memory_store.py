"""Both storage ports in memory: the reference that the laws compare others with."""

import threading
from dataclasses import replace

from coordinator.ports import (
    REFUSALS_KEPT,
    ChunkRow,
    PendingEffect,
    Refusal,
    StoredInvitation,
    StoredRound,
    Upload,
    check_object_name,
)
from privacy.errors import ConflictingContribution, NotYet, StoreUnavailable
from privacy.growth import check_grown, later


class MemoryObjects:
    """An `ObjectStore` that forgets everything when the process ends."""

    address = "memory:"

    def __init__(self):
        self._objects = {}
        self._lock = threading.Lock()

    def put(self, name, data):
        check_object_name(name)
        with self._lock:
            if self._objects.setdefault(name, bytes(data)) != data:
                raise ConflictingContribution(f"{name} is kept with other bytes")

    def mend(self, name, data):
        with self._lock:
            self._objects[check_object_name(name)] = bytes(data)

    def get(self, name):
        try:
            return self._objects[check_object_name(name)]
        except KeyError:
            raise NotYet(f"there is no {name} yet") from None

    def exists(self, name):
        return check_object_name(name) in self._objects

    def lengths(self, prefix):
        return {name: len(self._objects[name]) for name in self.names(prefix)}

    def clear_parts(self, prefix=""):
        pass

    def names(self, prefix=""):
        if prefix:
            check_object_name(prefix)
        with self._lock:
            return sorted(name for name in self._objects if _is_below(name, prefix))

    def delete_prefix(self, prefix):
        check_object_name(prefix)
        with self._lock:
            for name in [name for name in self._objects if _is_below(name, prefix)]:
                del self._objects[name]


def _is_below(name, prefix):
    return not prefix or name == prefix or name.startswith(f"{prefix}/")


class MemoryStore:
    """A `Store` that forgets everything when the process ends."""

    def __init__(self):
        self._rounds = {}
        self._effects = {}
        self._ids = 0
        self._documents = {}
        self._uploads = {}
        self._checkpoints = {}
        self._sum_chunks = {}
        self._refusals = []
        self._invitations = {}
        self._certificates = {}
        self._revocations = []
        self._lock = threading.RLock()

    def load_round(self, number):
        return self._rounds.get(number)

    def load_rounds(self):
        with self._lock:
            return dict(sorted(self._rounds.items()))

    def round_numbers(self):
        with self._lock:
            return sorted(self._rounds)

    def save_step(self, number, expected_revision, state, effects):
        with self._lock:
            held = self._rounds.get(number)
            if (held.revision if held else None) != expected_revision:
                raise StoreUnavailable(f"round {number} is not at revision {expected_revision}")
            revision = (expected_revision or 0) + 1
            self._rounds[number] = StoredRound(state, revision)
            for body in effects:
                self._ids += 1
                self._effects[self._ids] = PendingEffect(self._ids, number, body)
            return revision

    def pending_effects(self):
        with self._lock:
            return list(self._effects.values())

    def finish_effect(self, effect_id):
        with self._lock:
            self._effects.pop(effect_id, None)

    def put_document(self, kind, name, body):
        with self._lock:
            if self._documents.setdefault((kind, name), body) != body:
                raise ConflictingContribution(f"{kind} {name} is kept with another body")

    def put_documents(self, found):
        with self._lock:
            for kind, name, body in found:
                if self._documents.get((kind, name), body) != body:
                    raise ConflictingContribution(f"{kind} {name} is kept with another body")
            for kind, name, body in found:
                self.put_document(kind, name, body)

    def forget_documents(self, names):
        with self._lock:
            for each in names:
                self._documents.pop(each, None)

    def document(self, kind, name):
        try:
            return self._documents[kind, name]
        except KeyError:
            raise NotYet(f"there is no {kind} {name} yet") from None

    def documents(self, kind):
        with self._lock:
            every = self._documents.items()
            return sorted((name, body) for (each, name), body in every if each == kind)

    def begin_upload(self, participant, seen, header, *, at):
        number, digest = seen.round, seen.out
        with self._lock:
            if (number, participant) not in self._uploads:
                before, _ = self._checkpoints.get(participant, (None, b""))
                check_grown(participant, seen, before)
                if later(seen, before) is seen:
                    self._checkpoints[participant] = (seen, header)
            new = Upload(number, participant, digest, header, (), committed=False)
            held = self._uploads.setdefault((number, participant), new)
            if held.digest != digest:
                self._refuse(Refusal(number, participant, "contribution", held.digest, digest, at))
            return held

    def newest_header(self, participant):
        return self._checkpoints.get(participant, (None, None))[1]

    def upload(self, number, participant):
        return self._uploads.get((number, participant))

    def uploads(self, number):
        with self._lock:
            return [self._uploads[key] for key in sorted(self._uploads) if key[0] == number]

    def record_chunk(self, number, participant, piece, index, root, length, *, at):
        with self._lock:
            upload = self._begun(number, participant)
            held = {(row.piece, row.index): row.root for row in upload.chunks}.get((piece, index))
            if held == root:
                return
            if held is not None or upload.committed:
                what, known = f"chunk {piece}/{index}", (held or b"").hex()
                self._refuse(Refusal(number, participant, what, known, root.hex(), at))
            rows = (*upload.chunks, ChunkRow(piece, index, root, length))
            ordered = tuple(sorted(rows, key=lambda row: (row.piece, row.index)))
            self._uploads[number, participant] = replace(upload, chunks=ordered)

    def commit_upload(self, number, participant):
        with self._lock:
            upload = self._begun(number, participant)
            self._uploads[number, participant] = replace(upload, committed=True)

    def chunk_roots(self, number, piece, index):
        with self._lock:
            return {
                upload.participant: row.root
                for upload in self.uploads(number)
                for row in upload.chunks
                if (row.piece, row.index) == (piece, index)
            }

    def record_sum_chunk(self, number, made):
        with self._lock:
            if self._sum_chunks.setdefault((number, made.chunk), made) != made:
                raise ConflictingContribution(f"chunk {made.chunk} of the sum is another one")

    def sum_chunks(self, number):
        with self._lock:
            return [self._sum_chunks[key] for key in sorted(self._sum_chunks) if key[0] == number]

    def forget_sum(self, number):
        with self._lock:
            for key in [key for key in self._sum_chunks if key[0] == number]:
                del self._sum_chunks[key]

    def forget_chunks(self, below, kept=()):
        with self._lock:
            for number, who in self._uploads:
                if number < below and number not in kept:
                    self._uploads[number, who] = replace(self._uploads[number, who], chunks=())
            for number, chunk in list(self._sum_chunks):
                if number < below and number not in kept:
                    del self._sum_chunks[number, chunk]

    def refusals(self, number):
        with self._lock:
            return [each for each in self._refusals if each.round == number]

    def invitation(self, token):
        return self._invitations.get(token)

    def invitations(self):
        with self._lock:
            return sorted(self._invitations.values(), key=lambda e: (e.participant, e.token))

    def save_invitation(self, token, expected_revision, participant, body, issued=None):
        with self._lock:
            held = self._invitations.get(token)
            if (held.revision if held else None) != expected_revision:
                raise StoreUnavailable(f"the invitation is not at revision {expected_revision}")
            revision = (expected_revision or 0) + 1
            self._invitations[token] = StoredInvitation(token, participant, body, revision)
            if issued is not None:
                self.record_certificate(issued)
            return revision

    def forget_invitations(self, tokens):
        with self._lock:
            for token in tokens:
                self._invitations.pop(token, None)

    def record_certificate(self, issued):
        with self._lock:
            self._certificates.setdefault(issued.serial, issued)

    def certificates(self, participant=""):
        with self._lock:
            found = [e for e in self._certificates.values() if participant in ("", e.participant)]
        return sorted(found, key=lambda each: (each.issued_at, each.serial))

    def forget_certificates(self, ended_before):
        with self._lock:
            for each in self.certificates():
                newest = self.certificates(each.participant)[-1]
                if each.ends_at < ended_before and newest.issued_at > each.issued_at:
                    del self._certificates[each.serial]

    def put_revocation(self, revocation):
        with self._lock:
            if revocation not in self._revocations:
                self._revocations.append(revocation)

    def revocations(self):
        with self._lock:
            return list(self._revocations)

    def close(self):
        pass

    def _begun(self, number, participant):
        if (number, participant) not in self._uploads:
            raise NotYet(f"{participant} has begun no contribution to round {number}")
        return self._uploads[number, participant]

    def _refuse(self, refusal):
        mine = [r for r in self.refusals(refusal.round) if r.participant == refusal.participant]
        known = {(each.what, each.offered) for each in mine}
        if (refusal.what, refusal.offered) not in known and len(mine) < REFUSALS_KEPT:
            self._refusals.append(refusal)
        raise refusal.error()

"""The exceptions that reindex raises.

Every message says what was expected, what came instead, and what to do. Imports nothing::

    ReindexError
    ├── ConfigError            reindex.toml is missing, malformed or contradicts itself
    ├── MissingExtra           an optional dependency is not installed
    ├── DataError              input that cannot be read as documents, queries or judgements
    │   └── TooManyBadRows     the share of bad rows passed its threshold
    ├── RegistryError          the registry cannot be opened or is asked for what it does not hold
    │   ├── RegistryTooNew     written by a newer release
    │   ├── UnknownVersion     no such version
    │   ├── Conflict           another operator or process got there first
    │   │   └── Locked         another run works on the same thing right now
    ├── SynthesisError         training queries cannot be made (what was answered is kept)
    │   └── EndpointRefused    the endpoint refuses whatever it is asked: wrong key, model, address
    ├── ModelError             a base model or checkpoint cannot be found or trained
    ├── ArtifactError          an artifact is missing, incomplete or not what its manifest says
    │   ├── ParityError        the exported graph does not agree with the checkpoint
    │   └── ProbeMismatch      this host computes other vectors than the build host did
    ├── StoreError             the vector store refused or failed
    │   ├── StoreRefused       it cannot take a point, and never will
    │   ├── FilterRefused      a search's condition is not of the form expected
    │   ├── StoreBusy          another process holds the embedded collection
    │   ├── StoreTooOld        the server lacks a feature that correctness needs
    │   ├── CollectionNotFound
    │   ├── CollectionExists
    │   └── AliasConflict      an alias is in the way, or would be lost
    ├── DiskFull               no room is left to write to (what was done is kept)
    ├── RunStopped             a run ended early on purpose (what was done is kept)
    │   ├── Cancelled          an operator asked for it
    │   ├── BudgetSpent        its budget of time or documents is spent
    │   └── LockLost           another run took it for dead and took over
    ├── OwnerError             the project's owner process cannot be asked, or cannot do it
    │   ├── OwnerSilent        it is there but does not answer
    │   └── OwnerGone          it ended before it was done
    ├── BuildError             a build cannot go on (what was done is kept)
    │   ├── ClearlyWorse       an early look showed a candidate to be worse than what is live
    │   ├── TooManyDeletes     more of the collection would be deleted than allowed
    │   └── SourceChanged      what is gone cannot be told: the files changed meanwhile
    ├── ComparisonError        live and candidate cannot be compared
    ├── AdoptionRefused        a collection is not what it was said to be, so it is not taken over
    ├── WriteRefused           a document cannot be stored; nothing was written
    ├── WriteNotAcknowledged   what is live could not take a write; the journal keeps it
    ├── CutOverIncomplete      flipped, but late writes are still to be brought over
    ├── PromotionRefused       a gate condition or the state of the world says no
    ├── CanaryRefused          a candidate cannot answer beside what is live
    ├── WatchRefused           there is no promotion to watch
    ├── FeedbackError          feedback that says nothing, or is not of the form expected
    ├── ServerError            a reindex server cannot be asked, or its answer cannot be read
    │   ├── ServerUnreachable  it does not answer, or not in time
    │   ├── ServerBusy         it has too much to do, or took too long
    │   └── AccessDenied       it wants a key, or another one
    ├── RequestRefused         what was asked is not of the form expected
    │   └── RequestTooLarge    it is more than a server takes at once
    └── SpaceMismatch          a query and a collection of different spaces were about to meet
"""


class ReindexError(Exception):
    """Base of all errors that reindex raises on purpose."""


class ConfigError(ReindexError):
    """``reindex.toml`` is missing, malformed or contradicts itself."""


class MissingExtra(ReindexError):
    """An optional dependency is not installed; the message holds the install command."""

    def __init__(self, extra: str, package: str) -> None:
        super().__init__(
            f"This needs the package '{package}', which is not installed. "
            f"Install it with: pip install 'reindex[{extra}]'"
        )
        self.extra = extra
        self.package = package


class DataError(ReindexError):
    """Input that cannot be read as documents, queries or judgements."""


class TooManyBadRows(DataError):
    """The share of bad rows passed its threshold; the rows are in the dead-letter file."""


class RegistryError(ReindexError):
    """The registry cannot be opened, or is asked for something that it does not hold."""


class RegistryTooNew(RegistryError):
    """The registry was written by a newer release of reindex."""


class UnknownVersion(RegistryError):
    """There is no such version in the registry."""


class Conflict(RegistryError):
    """Another operator or process got there first."""


class Locked(Conflict):
    """Another run works on the same thing right now; the message names it and the remedy."""


class SynthesisError(ReindexError):
    """Training queries cannot be made; what was answered so far is kept."""


class EndpointRefused(SynthesisError):
    """The endpoint refuses whatever it is asked: a wrong key, model or address; no quota left."""


class ModelError(ReindexError):
    """A base model or checkpoint cannot be found, loaded or trained."""


class ArtifactError(ReindexError):
    """An artifact is missing, incomplete or not what its manifest says."""


class ParityError(ArtifactError):
    """The exported graph does not agree with the checkpoint; nothing was published."""


class ProbeMismatch(ArtifactError):
    """This host computes other vectors for the probe texts than the build host did."""


class StoreError(ReindexError):
    """The vector store refused or failed."""


class StoreRefused(StoreError):
    """The store cannot take what was to be written, and never will; another point it may take."""


class FilterRefused(StoreError):
    """A search's condition on the payload is not of the form expected."""


class StoreBusy(StoreError):
    """Another process holds the embedded collection."""


class StoreTooOld(StoreError):
    """The server lacks a feature that correctness needs."""


class CollectionNotFound(StoreError):
    """There is no collection of this name."""


class CollectionExists(StoreError):
    """A collection of this name exists already."""


class AliasConflict(StoreError):
    """An alias is in the way, or would be lost with its collection."""


class DiskFull(ReindexError):
    """No room is left to write to; what was done is kept, and the command can be run again."""


class RunStopped(ReindexError):
    """A run ended early on purpose. What was done is kept; nothing was deleted.

    ``report`` is what a build counted until then, where there is one.
    """

    report: object = None


class Cancelled(RunStopped):
    """An operator asked the run to end."""


class BudgetSpent(RunStopped):
    """The run's budget of time or documents is spent."""


class LockLost(RunStopped):
    """Another run took this one for dead and took its lock over."""


class OwnerError(ReindexError):
    """The project's owner process cannot be asked, or cannot do what was asked."""


class OwnerSilent(OwnerError):
    """The owner process is there but does not answer."""


class OwnerGone(OwnerError):
    """The owner process ended before it was done; what it did until then is kept."""


class BuildError(ReindexError):
    """A build cannot go on; what was done so far is kept."""


class ClearlyWorse(BuildError):
    """A look before the build showed a candidate to be worse than what is live."""

    verdict = "fail"


class TooManyDeletes(BuildError):
    """More of the collection would be deleted than the configured share."""


class SourceChanged(BuildError):
    """Files changed while they were read, so what is gone from the source cannot be told."""


class ComparisonError(ReindexError):
    """Live and candidate cannot be compared."""


class AdoptionRefused(ReindexError):
    """A collection is not what it was said to be, with figures; it was not taken over."""


class WriteRefused(ReindexError):
    """A document cannot be stored; nothing of the call was written."""


class WriteNotAcknowledged(ReindexError):
    """What is live could not take a write; the journal keeps it, and it is applied later."""


class CutOverIncomplete(ReindexError):
    """The alias is flipped, but writes that came late are still to be brought over."""


class PromotionRefused(ReindexError):
    """A gate condition, or the state of the world, says no.

    ``verdict`` is ``fail`` or, where the evidence does not suffice, ``inconclusive``.
    """

    def __init__(self, message: str, verdict: str = "fail") -> None:
        super().__init__(message)
        self.verdict = verdict


class CanaryRefused(ReindexError):
    """A candidate cannot answer beside what is live, or there is none to be asked about."""


class WatchRefused(ReindexError):
    """There is no promotion to watch: nothing was promoted, or it was rolled back."""


class FeedbackError(ReindexError):
    """Feedback that says nothing, or is not of the form expected; nothing was recorded."""


class ServerError(ReindexError):
    """A reindex server cannot be asked, or its answer cannot be read."""


class ServerUnreachable(ServerError):
    """The server does not answer, or not in time."""


class ServerBusy(ServerError):
    """The server has too much to do right now, or took too long."""


class AccessDenied(ServerError):
    """The server wants a key, or one with another scope."""


class RequestRefused(ReindexError):
    """What was asked is not of the form expected."""


class RequestTooLarge(RequestRefused):
    """More than a server takes in one request."""


class SpaceMismatch(ReindexError):
    """A query and a collection of different spaces were about to meet."""

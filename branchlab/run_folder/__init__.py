"""Names and formats inside a run folder: the contract between the process that trains and everything that watches.

    runs/<run-id>/run.json                     what was planned, written before any process starts
    runs/<run-id>/lease                        locked (flock) while processes work on the run; says which
    runs/<run-id>/job.json                     the job of a cluster that was given the run
    runs/<run-id>/stop                         somebody asks the run to end
    runs/<run-id>/attempts/<n>/events.jsonl    one line an event, appended with one write
    runs/<run-id>/attempts/<n>/log.txt         stdout and stderr
    runs/<run-id>/attempts/<n>/environment.json   what it trained in; written once, by the process that trains
    runs/<run-id>/attempts/<n>/usage.jsonl     what it takes of the machine, every few seconds
    runs/<run-id>/attempts/<n>/pulse           touched while the training gets on
    runs/<run-id>/attempts/<n>/result.json     how the attempt ended; beside + fsync + rename, written once
    runs/<run-id>/attempts/<n>/val_examples.npz   per-example validation results
    runs/<run-id>/attempts/<n>/recording.json.gz   of a run that was asked to record itself
    runs/<run-id>/attempts/<n>/trace.json.gz   what flowed through its code, of a run that was asked to be traced
    runs/<run-id>/trace.json                   there where it shall be traced instead of trained
    runs/<run-id>/record.json                  which steps it shall record, and how closely
    runs/<run-id>/probe.json                   which step of it shall be looked at
    runs/<run-id>/attempts/<n>/probe.json.gz   what was seen
    runs/<run-id>/rehearse.json                where it shall be interrupted, of a run that is rehearsed
    runs/<run-id>/sample.json                  what it is told of the repository's sample, where there is a manifest
    runs/<run-id>/look.json                    what it shall look at, of a run that draws the sample instead of training
    runs/<run-id>/checkpoints/last.pt
    runs/<run-id>/pictures/
    runs/<run-id>/files/                       what a project's own script writes
    runs/<run-id>/attempts/<n>/told.jsonl      what it tells through branchlab.log, until that is among the events

The folder is the truth; the index is derived from it. Who holds the lease owns the run: an attempt without a result
under a free lease is dead, and the next owner says so before it starts another. An event line ends in the CRC-32 of what stands before, because a
full disk writes short (measured: 76 of 118 bytes) and the next line would be glued on.
"""

from branchlab.run_folder.attempts import Attempt
from branchlab.run_folder.checkpoints import is_whole, newest_whole
from branchlab.run_folder.events import (
    EventChunk,
    EventWriter,
    parse_event,
    read_events,
)
from branchlab.run_folder.examples import Arrays, read_examples, write_examples
from branchlab.run_folder.files import JSON, from_text, replacing, to_text, write_atomically
from branchlab.run_folder.folders import (
    LOST,
    STATE_FOLDER,
    RunFolder,
    StateFolder,
    script_of,
)
from branchlab.run_folder.jobs import Job
from branchlab.run_folder.lease import Holder, boot_id, locked, read_holder, write_holder
from branchlab.run_folder.probes import AskedProbe, pack_probe, unpack_probe
from branchlab.run_folder.recordings import (
    AskedRecording,
    AskedRehearsal,
    pack_recording,
    unpack_recording,
)
from branchlab.run_folder.samples import AskedLook, read_manifest, write_manifest
from branchlab.run_folder.traces import pack_trace, unpack_trace

__all__ = [
    "JSON",
    "LOST",
    "STATE_FOLDER",
    "Arrays",
    "AskedLook",
    "AskedProbe",
    "AskedRecording",
    "AskedRehearsal",
    "Attempt",
    "EventChunk",
    "EventWriter",
    "Holder",
    "Job",
    "RunFolder",
    "StateFolder",
    "boot_id",
    "from_text",
    "is_whole",
    "locked",
    "newest_whole",
    "pack_probe",
    "pack_recording",
    "pack_trace",
    "parse_event",
    "read_events",
    "read_examples",
    "read_holder",
    "read_manifest",
    "replacing",
    "script_of",
    "to_text",
    "unpack_probe",
    "unpack_recording",
    "unpack_trace",
    "write_atomically",
    "write_examples",
    "write_holder",
    "write_manifest",
]

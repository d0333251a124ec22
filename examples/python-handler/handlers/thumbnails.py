"""Takes still pictures from a video, evenly spread over its length.

The arguments come as one JSON object on stdin, the result goes to stdout as JSON. Everything on
stderr is the call's log. Files written to $VDEPLOY_ARTIFACTS become the call's artifacts.
"""

import json
import os
import subprocess
import sys


def main():
    args = json.load(sys.stdin)
    seconds = duration(args["input"])
    count = args.get("count", 5)
    folder = os.environ.get("VDEPLOY_ARTIFACTS", ".")
    names = []
    for number in range(count):
        name = f"thumbnail-{number + 1:03}.jpg"
        if take(args["input"], seconds * number / count, os.path.join(folder, name)):
            names.append(name)
        progress((number + 1) / count, name)
    if not names:
        fail(f"no picture could be taken of `{args['input']}`")
    json.dump({"thumbnails": names, "duration_seconds": seconds}, sys.stdout)


def duration(path):
    command = ["ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0"]
    found = subprocess.run([*command, path], capture_output=True, text=True)
    try:
        return float(found.stdout)
    except ValueError:
        fail(f"`{path}` isn't a video: {found.stderr.strip() or 'it has no duration'}")


def take(path, second, picture):
    command = ["ffmpeg", "-v", "error", "-y", "-ss", str(second), "-i", path]
    subprocess.run([*command, "-frames:v", "1", "-q:v", "3", picture], stdin=subprocess.DEVNULL)
    return os.path.exists(picture)


def progress(fraction, message):
    """Progress is a JSON line in the pipe $VDEPLOY_EVENTS; outside of a call there is none."""
    if path := os.environ.get("VDEPLOY_EVENTS"):
        with open(path, "w") as events:
            print(json.dumps({"progress": {"fraction": fraction, "message": message}}), file=events)


def fail(message):
    """A failure that says why; trying again would not help."""
    json.dump({"error": {"message": message, "retryable": False}}, sys.stdout)
    sys.exit(1)


main()

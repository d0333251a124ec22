"""What a Python pipeline finds: onnxruntime, and OpenCV's letterbox and suppression as Ultralytics has them.

    reference.py MODEL VIDEO WIDTH HEIGHT CONFIDENCE IOU [EVERY]

Prints a JSON line for each frame. With - for VIDEO, frames are WIDTH x HEIGHT x 3 bytes of RGB each from standard
input; otherwise OpenCV decodes them.
"""
import json
import sys

import cv2
import numpy as np
import onnxruntime


def letterbox(frame, size):
    height, width = frame.shape[:2]
    gain = min(size[1] / height, size[0] / width)
    w, h = round(width * gain), round(height * gain)
    left, top = round((size[0] - w) / 2 - 0.1), round((size[1] - h) / 2 - 0.1)
    out = np.full((size[1], size[0], 3), 114, np.uint8)
    scaled = frame if (w, h) == (width, height) else cv2.resize(frame, (w, h), interpolation=cv2.INTER_LINEAR)
    out[top : top + h, left : left + w] = scaled
    return out, gain, left, top


def decode(out, confidence):
    """Boxes as corners, scores, classes."""
    if out.shape[-1] == 6 and out.shape[0] <= 300:
        keep = out[:, 4] > confidence
        return out[keep, :4], out[keep, 4], out[keep, 5].astype(int), False
    if out.shape[0] < out.shape[1]:
        rows = out.T
        classes, scores = rows[:, 4:].argmax(1), rows[:, 4:].max(1)
    else:
        rows = out[out[:, 4] > confidence]
        each = rows[:, 5:] * rows[:, 4:5]
        classes, scores = (each.argmax(1), each.max(1)) if len(each) else (np.zeros(0, int), np.zeros(0))
    keep = scores > confidence
    rows, classes, scores = rows[keep], classes[keep], scores[keep]
    x, y, w, h = rows[:, :4].T
    return np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], 1), scores, classes, True


def suppress(boxes, scores, classes, limit):
    order = np.argsort(-scores, kind="stable")
    kept = []
    area = (boxes[:, 2] - boxes[:, 0]).clip(0) * (boxes[:, 3] - boxes[:, 1]).clip(0)
    for i in order:
        ok = True
        for k in kept:
            if classes[k] == classes[i]:
                w = min(boxes[i, 2], boxes[k, 2]) - max(boxes[i, 0], boxes[k, 0])
                h = min(boxes[i, 3], boxes[k, 3]) - max(boxes[i, 1], boxes[k, 1])
                both = max(w, 0) * max(h, 0)
                if both / (area[i] + area[k] - both) > limit:
                    ok = False
                    break
        if ok:
            kept.append(i)
        if len(kept) == 300:
            break
    return kept


def found(session, frame, confidence, limit):
    taken = session.get_inputs()[0]
    size = (taken.shape[3], taken.shape[2])
    picture, gain, left, top = letterbox(frame, size)
    tensor = picture.transpose(2, 0, 1)[None].astype(np.float32) / 255
    out = session.run(None, {taken.name: np.ascontiguousarray(tensor)})[0][0]
    boxes, scores, classes, raw = decode(out, confidence)
    kept = suppress(boxes, scores, classes, limit) if raw else np.argsort(-scores, kind="stable")[:300]
    boxes = (boxes - (left, top, left, top)) / gain
    boxes[:, [0, 2]] = boxes[:, [0, 2]].clip(0, frame.shape[1])
    boxes[:, [1, 3]] = boxes[:, [1, 3]].clip(0, frame.shape[0])
    return [{"class": int(classes[i]), "score": float(scores[i]), "box": boxes[i].tolist()} for i in kept]


def piped(size):
    each = size[0] * size[1] * 3
    while len(data := sys.stdin.buffer.read(each)) == each:
        yield np.frombuffer(data, np.uint8).reshape(size[1], size[0], 3)


def opened(path):
    video = cv2.VideoCapture(path)
    while True:
        ok, frame = video.read()
        if not ok:
            return
        yield frame[..., ::-1]


def main():
    model, video, width, height, confidence, limit = sys.argv[1:7]
    every = int(sys.argv[7]) if len(sys.argv) > 7 else 1
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    frames = piped((int(width), int(height))) if video == "-" else opened(video)
    for at, frame in enumerate(frames):
        if at % every == 0:
            print(json.dumps({"frame": at, "detections": found(session, frame, float(confidence), float(limit))}))


main()

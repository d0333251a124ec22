#!/usr/bin/env python3
"""Makes `shapes.onnx`: a network that finds orange discs and blue boxes, in YOLOv8's output layout.

It isn't trained. Its weights follow from geometry: a 1x1 convolution turns colours into two masks, and at each
cell of three grids (strides 8, 16 and 32, as YOLOv8 has them) a convolution takes the moments of what lies in
a window. Mass, centre and variance of a filled shape say where it is and how large: the standard deviation of a
disc is a quarter of its diameter, that of a box its side over the square root of twelve. The score falls where
something touches the window's edge, where the centre belongs to another cell, and where mass and variance
aren't those of one solid shape.

    python3 make.py                 writes shapes.onnx beside this file
    python3 make.py --check         renders frames that it never saw and prints mAP50; 1 if it is under 0.9

Needs numpy and onnx; --check also needs onnxruntime and opencv-python-headless.
"""

import argparse
import pathlib
import sys

import numpy as np

SIZE = 320
STRIDES = (8, 16, 32)
WINDOW = 32  # pixels of a level: level n sees the picture 2**n times smaller
NAMES = {0: "ball", 1: "box"}
HERE = pathlib.Path(__file__).resolve().parent

# ----------------------------------------------------------------------------- the network


def kernels():
    """Moments over a window: mass, x, y, x², y², and the mass at its edge."""
    at = np.arange(WINDOW) - (WINDOW - 1) / 2
    x, y = np.meshgrid(at, at)
    edge = np.maximum(np.abs(x), np.abs(y)) > WINDOW / 2 - 2
    moments = np.stack([np.ones_like(x), x, y, x * x, y * y, edge])
    per_class = np.zeros((12, 1, WINDOW, WINDOW), np.float32)
    per_class[:6, 0] = moments
    per_class[6:, 0] = moments
    return per_class


def build():
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes, weights, made = [], [], 0

    def const(value, dtype=np.float32):
        nonlocal made
        made += 1
        name = f"c{made}"
        weights.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def op(kind, *inputs, out=None, count=1, **attributes):
        nonlocal made
        made += 1
        outs = [out] if out else [f"t{made}_{i}" for i in range(count)]
        nodes.append(helper.make_node(kind, list(inputs), outs, **attributes))
        return outs[0] if count == 1 else outs

    def clip(value):
        return op("Clip", value, const(0), const(1))

    # Orange stands out in red, blue boxes in blue; grass, skin, sky and white in neither.
    color = np.array([[1.0, -0.5, -0.5], [-0.5, -0.5, 1.0]], np.float32).reshape(2, 3, 1, 1) * 8
    masks = clip(op("Conv", "images", const(color), const([-8 * 0.3, -8 * 0.25])))

    window = const(kernels())
    levels = []
    for level, stride in enumerate(STRIDES):
        scale = 2.0**level
        cells = SIZE // stride
        mask = masks
        if level:
            step = 2**level
            mask = op("AveragePool", masks, kernel_shape=[step, step], strides=[step, step])
        pad = WINDOW // 2 - 4  # windows are centred on cells that are eight of the level's pixels wide
        moments = op("Conv", mask, window, group=2, strides=[8, 8], pads=[pad, pad, pad, pad])
        scores, boxes = [], []
        axis = (np.arange(cells) + 0.5) * stride
        grid_x = const(np.broadcast_to(axis, (1, 1, cells, cells)))
        grid_y = const(np.broadcast_to(axis[:, None], (1, 1, cells, cells)))
        for index, (spread, solid) in enumerate([(4.0, 4 * np.pi), (12**0.5, 12.0)]):
            start = index * 6
            m, sx, sy, sxx, syy, edge = [
                op("Slice", moments, const([at], np.int64), const([at + 1], np.int64), const([1], np.int64))
                for at in range(start, start + 6)
            ]
            mass = op("Add", m, const(1e-3))
            mx, my = op("Div", sx, mass), op("Div", sy, mass)
            # A pixel is a square, not a point: its own variance is a twelfth.
            var = lambda squares, mean: op(
                "Add",
                op("Relu", op("Sub", op("Div", squares, mass), op("Mul", mean, mean))),
                const(1 / 12),
            )
            dx, dy = op("Sqrt", var(sxx, mx)), op("Sqrt", var(syy, my))
            # Of one solid shape, mass over both deviations is a constant.
            ratio = op("Div", mass, op("Mul", op("Mul", dx, dy), const(solid)))
            whole = clip(op("Sub", const(1), op("Mul", op("Relu", op("Sub", const(0.9), ratio)), const(5))))
            inside = clip(op("Sub", const(1), op("Mul", op("Div", edge, mass), const(8))))
            off = op("Max", op("Abs", mx), op("Abs", my))
            near = clip(op("Sub", const(1), op("Mul", op("Relu", op("Sub", off, const(3))), const(0.35))))
            enough = clip(op("Mul", op("Sub", m, const(12)), const(1 / 16)))
            score = op("Mul", op("Mul", whole, inside), op("Mul", near, enough))
            scores.append(op("Mul", score, const(0.97)))
            boxes.append(
                op(
                    "Concat",
                    op("Add", grid_x, op("Mul", mx, const(scale))),
                    op("Add", grid_y, op("Mul", my, const(scale))),
                    op("Mul", dx, const(scale * spread)),
                    op("Mul", dy, const(scale * spread)),
                    axis=1,
                )
            )
        box = op("Where", op("Greater", scores[0], scores[1]), boxes[0], boxes[1])
        out = op("Concat", box, *scores, axis=1)
        levels.append(op("Reshape", out, const([1, 6, cells * cells], np.int64)))
    op("Concat", *levels, out="output0", axis=2)

    anchors = sum((SIZE // s) ** 2 for s in STRIDES)
    graph = helper.make_graph(
        nodes,
        "shapes",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, 6, anchors])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="vdeploy")
    model.ir_version = 8
    described = {
        "description": "orange discs and blue boxes",
        "task": "detect",
        "stride": "32",
        "imgsz": str([SIZE, SIZE]),
        "names": str(NAMES),
    }
    for key, value in described.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.checker.check_model(model)
    return model


# ----------------------------------------------------------------------------- pictures of shapes


def background(rng, height, width):
    """Grass, grey or sky, with soft light and grain."""
    base = [(60, 120, 62), (120, 120, 118), (70, 90, 60), (150, 175, 190)][rng.integers(4)]
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    light = 1 + 0.2 * (x * rng.uniform(-1, 1) + y * rng.uniform(-1, 1))
    frame = np.array(base, np.float32)[None, None] * light[..., None]
    for _ in range(rng.integers(0, 4)):  # lines of the pitch
        at = rng.integers(0, width)
        frame[:, at : at + 4] = 225
    return frame


def draw(frame, kind, cx, cy, w, h, color):
    height, width = frame.shape[:2]
    x, y = np.arange(width) + 0.5, np.arange(height)[:, None] + 0.5
    if kind == 0:
        far = np.hypot(x - cx, y - cy)
        cover = np.clip(w / 2 - far + 0.5, 0, 1)
    else:
        cover = np.clip(w / 2 - np.abs(x - cx) + 0.5, 0, 1) * np.clip(h / 2 - np.abs(y - cy) + 0.5, 0, 1)
    frame += cover[..., None] * (np.array(color, np.float32) - frame)


def orange(rng):
    return 235 + rng.uniform(-20, 20), 95 + rng.uniform(-30, 30), 30 + rng.uniform(-25, 25)


def blue(rng):
    return 40 + rng.uniform(-25, 25), 75 + rng.uniform(-30, 30), 215 + rng.uniform(-25, 25)


def scene(rng, width=640, height=360):
    """A frame and what is on it: class, x1, y1, x2, y2. Shapes may stand close, and never overlap."""
    frame = background(rng, height, width)
    for _ in range(rng.integers(0, 4)):  # things that are neither
        color = [(230, 220, 60), (200, 150, 120), (240, 240, 240), (30, 30, 30), (60, 170, 90)][rng.integers(5)]
        draw(frame, int(rng.integers(2)), rng.uniform(0, width), rng.uniform(0, height), *rng.uniform(20, 90, 2), color)
    truth = []
    for _ in range(rng.integers(1, 7)):
        kind = int(rng.integers(2))
        w = rng.uniform(18, 130)
        h = w if kind == 0 else float(np.clip(w * rng.uniform(0.6, 1.7), 18, 130))
        cx, cy = rng.uniform(w / 2 + 1, width - w / 2 - 1), rng.uniform(h / 2 + 1, height - h / 2 - 1)
        box = np.array([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2])
        gap = 6
        clear = all(
            box[2] + gap < o[1] or o[3] + gap < box[0] or box[3] + gap < o[2] or o[4] + gap < box[1] for o in truth
        )
        if clear:
            draw(frame, kind, cx, cy, w, h, orange(rng) if kind == 0 else blue(rng))
            truth.append((kind, *box))
    frame += rng.normal(0, 5, frame.shape)
    return np.clip(frame, 0, 255).astype(np.uint8), truth


# ----------------------------------------------------------------------------- how good it is


def letterbox(frame):
    import cv2

    height, width = frame.shape[:2]
    gain = min(SIZE / height, SIZE / width)
    w, h = round(width * gain), round(height * gain)
    left, top = round((SIZE - w) / 2 - 0.1), round((SIZE - h) / 2 - 0.1)
    out = np.full((SIZE, SIZE, 3), 114, np.uint8)
    out[top : top + h, left : left + w] = cv2.resize(frame, (w, h), interpolation=cv2.INTER_LINEAR)
    return out.transpose(2, 0, 1)[None].astype(np.float32) / 255, gain, left, top


def found(session, frame, least=0.05):
    import cv2

    tensor, gain, left, top = letterbox(frame)
    rows = session.run(None, {"images": tensor})[0][0].T
    kinds, scores = rows[:, 4:].argmax(1), rows[:, 4:].max(1)
    keep = scores > least
    rows, kinds, scores = rows[keep], kinds[keep], scores[keep]
    boxes = np.stack([rows[:, 0] - rows[:, 2] / 2, rows[:, 1] - rows[:, 3] / 2, rows[:, 2], rows[:, 3]], 1)
    out = []
    for kind in range(len(NAMES)):
        of = np.flatnonzero(kinds == kind)
        for i in cv2.dnn.NMSBoxes(boxes[of].tolist(), scores[of].tolist(), least, 0.45):
            x, y, w, h = (boxes[of[i]] - (left, top, 0, 0)) / gain
            out.append((kind, scores[of[i]], x, y, x + w, y + h))
    return out


def iou(a, b):
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    both = max(w, 0) * max(h, 0)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both + 1e-9)


def average_precision(session, frames, seed):
    """mAP at an overlap of a half: the area under precision over recall, interpolated at all points."""
    rng = np.random.default_rng(seed)
    claims, truths = {k: [] for k in NAMES}, {k: 0 for k in NAMES}
    for _ in range(frames):
        frame, truth = scene(rng)
        for kind, *_ in truth:
            truths[kind] += 1
        left = list(truth)
        for kind, score, *box in sorted(found(session, frame), key=lambda f: -f[1]):
            of = [t for t in left if t[0] == kind]
            best = max(of, key=lambda t: iou(box, t[1:]), default=None)
            right = best is not None and iou(box, best[1:]) >= 0.5
            if right:
                left.remove(best)
            claims[kind].append((score, right))
    result = {}
    for kind, claimed in claims.items():
        claimed.sort(key=lambda c: -c[0])
        right = np.cumsum([c[1] for c in claimed])
        precision = right / np.arange(1, len(claimed) + 1)
        recall = right / max(truths[kind], 1)
        best = np.maximum.accumulate(precision[::-1])[::-1]
        result[NAMES[kind]] = float(np.sum(np.diff(np.concatenate([[0], recall])) * best))
    return result


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--check", action="store_true")
    ask.add_argument("--frames", type=int, default=400)
    asked = ask.parse_args()
    model = build()
    path = HERE / "shapes.onnx"
    if not asked.check:
        path.write_bytes(model.SerializeToString())
        print(f"{path.name}: {path.stat().st_size} bytes")
        return 0
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    each = average_precision(session, asked.frames, seed=20_000)
    mean = sum(each.values()) / len(each)
    print("  ".join(f"{name} {value:.3f}" for name, value in each.items()), f" mAP50 {mean:.3f}")
    return 0 if mean >= 0.9 else 1


if __name__ == "__main__":
    sys.exit(main())

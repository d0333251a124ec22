"""The usual Python way, as a peer: `opencv_draw.py overlay IN OUT LOGO PRESET CRF THREADS` decodes with
OpenCV, draws a text, an image and a moving box, and pipes frames to ffmpeg; `opencv_draw.py blur IN SIGMA`
decodes and blurs, and writes nothing."""

import subprocess
import sys

import cv2


def overlay(source: str, target: str, logo: str, preset: str, crf: str, threads: str) -> None:
    video = cv2.VideoCapture(source)
    width, height = (int(video.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    rate = video.get(cv2.CAP_PROP_FPS)
    picture = cv2.imread(logo, cv2.IMREAD_UNCHANGED)
    rows, columns = picture.shape[:2]
    color = picture[:, :, :3].astype("float32")
    alpha = picture[:, :, 3:].astype("float32") / 255
    encoder = subprocess.Popen(
        ["ffmpeg", "-y", "-v", "error", "-f", "rawvideo", "-pix_fmt", "bgr24", "-s", f"{width}x{height}",
         "-r", str(rate), "-i", "-", "-c:v", "libx264", "-preset", preset, "-crf", crf, "-threads", threads,
         "-pix_fmt", "yuv420p", target],
        stdin=subprocess.PIPE)
    count = 0
    while True:
        there, frame = video.read()
        if not there:
            break
        time = count / rate
        x, y = int(100 + 120 * time), int(200 + 30 * time)
        cv2.rectangle(frame, (x, y), (x + 300, y + 200), (0, 212, 255), 6)
        part = frame[40:40 + rows, width - columns - 40:width - 40]
        part[:] = part * (1 - alpha) + color * alpha
        cv2.putText(frame, "Hello, world", (700, 1020), cv2.FONT_HERSHEY_SIMPLEX, 2.5, (255, 255, 255), 4,
                    cv2.LINE_AA)
        encoder.stdin.write(frame.tobytes())
        count += 1
    encoder.stdin.close()
    sys.exit(encoder.wait())


def blur(source: str, sigma: str) -> None:
    video = cv2.VideoCapture(source)
    while True:
        there, frame = video.read()
        if not there:
            break
        cv2.GaussianBlur(frame, (0, 0), float(sigma))


if __name__ == "__main__":
    {"overlay": overlay, "blur": blur}[sys.argv[1]](*sys.argv[2:])

# SPDX-License-Identifier: LGPL-2.1-or-later
"""A camera in web browsers, as MJPEG: web.py [CHANNEL [PORT]]. Needs OpenCV."""

import contextlib
import http.server
import socketserver
import sys

import cv2

import ndsh

CHANNEL = sys.argv[1] if len(sys.argv) > 1 else "cam"
PORT = int(sys.argv[2]) if len(sys.argv) > 2 else 8080


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        with contextlib.suppress(ConnectionError), \
                ndsh.Reader(CHANNEL, max_fps=15) as reader:
            for frame in reader:              # each browser has a reader of its own
                jpeg = cv2.imencode(".jpg", frame.bgr(copy=None))[1].tobytes()
                self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\n"
                                 b"Content-Length: %d\r\n\r\n%s\r\n" % (len(jpeg), jpeg))

    def log_message(self, *arguments):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


with contextlib.suppress(KeyboardInterrupt), Server(("127.0.0.1", PORT), Handler) as server:
    print("http://127.0.0.1:%d/" % server.server_port, flush=True)
    server.serve_forever()

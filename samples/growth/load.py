#!/usr/bin/env python3
"""Load for samples/growth/http_server.c.

usage: load.py PORT SECONDS PATH...     asks for the paths in turn, then prints how often
"""

import http.client
import sys
import time


def ask(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path)
    body = connection.getresponse().read()
    connection.close()
    return body


def main():
    port, seconds, paths = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
    end = time.monotonic() + seconds
    count = 0
    while time.monotonic() < end:
        ask(port, paths[count % len(paths)])
        count += 1
        time.sleep(0.002)
    print(count)


if __name__ == "__main__":
    main()

"""A real nginx with TLS of its own, on a free port of the loopback address."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

from tests.support.certificates import Made


class Nginx:
    """Answers every request with the name that the client asked for, its address and the protocol."""

    def __init__(self, certificate: Made, directory: Path) -> None:
        self.directory = directory / "nginx"
        self.directory.mkdir()
        both = certificate.written(self.directory / "both.pem")
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port: int = listener.getsockname()[1]
            text = f"""
                daemon off; worker_processes 1; pid {self.directory}/pid; error_log {self.directory}/error.log;
                events {{ worker_connections 256; }}
                http {{
                    access_log off;
                    client_body_temp_path {self.directory}; proxy_temp_path {self.directory};
                    fastcgi_temp_path {self.directory}; uwsgi_temp_path {self.directory}; scgi_temp_path {self.directory};
                    server {{
                        listen 127.0.0.1:{self.port} ssl;
                        ssl_protocols TLSv1.2 TLSv1.3;
                        ssl_certificate {both}; ssl_certificate_key {both};
                        location / {{ return 200 "$ssl_server_name $ssl_protocol $server_protocol"; }}
                    }}
                }}
            """
            config = self.directory / "nginx.conf"
            config.write_text(text)
            # nginx takes over listening sockets that NGINX names, as in its own upgrades.
            self.process = subprocess.Popen(
                ["nginx", "-p", str(self.directory), "-c", str(config)],
                env={**os.environ, "NGINX": f"{listener.fileno()};"},
                pass_fds=[listener.fileno()],
                stderr=subprocess.DEVNULL,
            )

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(10)

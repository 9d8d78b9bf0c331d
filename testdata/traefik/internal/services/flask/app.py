"""A service with Flask, which takes the prefix under which a proxy serves it from X-Script-Name, as many do.

It says of each answer which resource it took the path for.
"""

from flask import Flask, request
from werkzeug.serving import make_server


class ScriptName:
    """The middleware that calibre-web and a widespread snippet for Flask have."""

    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        script_name = environ.get("HTTP_X_SCRIPT_NAME", "")
        if script_name:
            environ["SCRIPT_NAME"] = script_name
            path_info = environ.get("PATH_INFO", "")
            if path_info.startswith(script_name):
                environ["PATH_INFO"] = path_info[len(script_name):]
        return self.app(environ, start_response)


app = Flask(__name__, static_folder=None)
app.wsgi_app = ScriptName(app.wsgi_app)


def answer(protected_resource):
    headers = {"X-Protected": protected_resource} if protected_resource else {}
    return {"path": request.path, "args": request.view_args}, 200, headers


app.add_url_rule("/settings/", "settings", lambda: answer("settings"))
app.add_url_rule("/settings/<path:rest>", "setting", lambda rest: answer("settings"))
app.add_url_rule("/u/<id>/secret", "secret", lambda id: answer("secret"))
app.add_url_rule("/u/<id>", "user", lambda id: answer(""), methods=["GET", "POST"])
app.add_url_rule("/u/<id>", "deleted", lambda id: answer("deleted"), methods=["DELETE"])
app.add_url_rule("/admin/<path:rest>", "admin", lambda rest: answer("admin"))
app.add_url_rule("/opds/<path:rest>", "opds", lambda rest: answer(""))
app.add_url_rule("/", "home", lambda: answer(""))

server = make_server("127.0.0.1", 0, app, threaded=True)
print(f"listening on {server.server_port}", flush=True)
server.serve_forever()

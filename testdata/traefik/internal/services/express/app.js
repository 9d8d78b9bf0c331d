// A service as people write them with Express. It says of each answer which resource it took the path for.
import express from "express"

const app = express()
const serve = (protectedResource) => (req, res) => {
  if (protectedResource) res.set("X-Protected", protectedResource)
  res.json({ route: req.route.path, params: req.params, url: req.url })
}
app.get("/settings", serve("settings"))
app.get("/settings/*rest", serve("settings"))
app.get("/u/:id/secret", serve("secret"))
app.get("/u/:id", serve(""))
app.post("/u/:id", serve(""))
app.delete("/u/:id", serve("deleted"))
app.get("/admin/*rest", serve("admin"))
app.get("/opds/*rest", serve(""))
app.get("/", serve(""))
const server = app.listen(0, "127.0.0.1", () => console.log(`listening on ${server.address().port}`))

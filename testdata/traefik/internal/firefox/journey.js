// Drives Firefox through what a person does with services behind the plugin, and prints as JSON what was seen at each step.
// Its argument is JSON: where Firefox is, and the addresses.
import puppeteer from "puppeteer-core"

const { firefox, organizr, service, admin, open, elsewhere, username } = JSON.parse(process.argv[2])
const browser = await puppeteer.launch({
  browser: "firefox",
  executablePath: firefox,
  headless: true,
  acceptInsecureCerts: true,
  // Firefox sends no cookies with what other sites embed unless it is told to, as people do for Organizr's tabs.
  extraPrefsFirefox: { "network.cookie.cookieBehavior": 0 },
})
const page = (await browser.pages())[0] ?? await browser.newPage()
page.setDefaultTimeout(20000)
const seen = {}
const text = (frame = page) => frame.evaluate(() => document.body.innerText)
const at = async step => { seen[step] = { url: page.url(), text: await text() } }
const follow = async doing => { await Promise.all([page.waitForNavigation(), doing()]) }
const signIn = () => follow(() => page.click(`button[data-username="${username}"]`))
const socket = address => page.evaluate(url => new Promise(done => {
  const socket = new WebSocket(url)
  socket.onopen = () => socket.send("hello")
  socket.onmessage = event => done(event.data)
  socket.onerror = () => done("refused")
}), address.replace("https", "wss") + "/live")
const frame = async name => {
  await page.click(`a[target="tab"][href="${name}"]`)
  for (const end = Date.now() + 20000; Date.now() < end;) {
    const child = page.frames().find(one => one.url().startsWith(name))
    const shown = child && await text(child).catch(() => "")
    if (shown) return shown
    await new Promise(done => setTimeout(done, 50))
  }
  return "nothing"
}

try {
  await page.goto(service + "/deep?q=100%25&x=a%2Fb")
  await at("nobody opens a page")
  await signIn()
  await at("logged in")
  seen["a script asks"] = await page.evaluate(async () => {
    const answer = await fetch("/api")
    return { status: answer.status, text: await answer.text() }
  })
  seen["a WebSocket"] = { text: await socket(service) }
  await follow(() => page.click("form button"))
  await at("a form")
  await page.goto(admin + "/")
  await at("another group's service")
  await page.goto(organizr + "/")
  seen["a frame of Organizr"] = { text: await frame(service) }
  seen["a frame of Organizr with another group's service"] = { text: await frame(admin) }

  await page.goto(elsewhere)
  seen["a WebSocket of another site"] = { text: await socket(service) }
  seen["a WebSocket of another site, where it may"] = { text: await socket(open) }
  await follow(() => page.click("button"))
  await at("a form of another site")
  await page.goto(elsewhere)
  await follow(() => page.click("a"))
  await at("a link of another site")

  const stale = await browser.newPage()
  await stale.goto(service + "/deep")
  await page.goto(organizr + "/")
  await follow(() => page.click("#logout"))
  await new Promise(done => setTimeout(done, 1500))
  seen["a script asks after the log-out"] = await stale.evaluate(async () => {
    const answer = await fetch("/api")
    return { status: answer.status, text: await answer.text() }
  })
  await page.goto(service + "/deep")
  await at("a page after the log-out")
} finally {
  console.log(JSON.stringify(seen))
  await browser.close()
}

package e2e

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/organizrjwt/organizrjwt"
	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/proxy"
	"github.com/traefik/traefik/v3/pkg/config/label"
	"gopkg.in/yaml.v3"
)

// manuals are the documents that users read: what most of them need, and what few do.
var manuals = []string{"readme.md", ".github/RECIPES.md"}

// manual returns the text of both manuals.
func manual(t *testing.T) string {
	t.Helper()
	var text strings.Builder
	for _, name := range manuals {
		text.WriteString(document(t, name) + "\n")
	}
	return text.String()
}

// section returns the part of the manuals under the heading.
func section(t *testing.T, heading string) string {
	t.Helper()
	parts := strings.Split(manual(t), "# "+heading+"\n")
	if len(parts) != 2 {
		t.Fatalf("the manuals have the heading %q %d times", heading, len(parts)-1)
	}
	rest := parts[1]
	if end := regexp.MustCompile(`(?m)^##+ `).FindStringIndex(rest); end != nil {
		return rest[:end[0]]
	}
	return rest
}

// yamlBlocks returns the blocks of YAML in a text.
func yamlBlocks(text string) []string {
	var blocks []string
	for _, match := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(text, -1) {
		blocks = append(blocks, match[1])
	}
	return blocks
}

// A block is what the manuals show of a container, in a block of its own or as a service of a Compose file.
type block struct {
	Command     []string
	Environment map[string]string
	Labels      map[string]string
	Volumes     []string
	Services    map[string]block
}

// blockOf decodes the block of YAML that has the number, from 0, under the heading.
func blockOf(t *testing.T, heading string, number int) block {
	t.Helper()
	blocks := yamlBlocks(section(t, heading))
	if number >= len(blocks) {
		t.Fatalf("only %d blocks of YAML under %q", len(blocks), heading)
	}
	var decoded block
	if err := yaml.Unmarshal([]byte(blocks[number]), &decoded); err != nil {
		t.Fatal(err)
	}
	return decoded
}

// labels returns the labels of the first block under the heading.
func labels(t *testing.T, heading string) map[string]string {
	t.Helper()
	return blockOf(t, heading, 0).Labels
}

// variables returns the environment of the first block under the heading, as a process takes it.
func variables(t *testing.T, heading string) []string {
	t.Helper()
	var list []string
	for name, value := range blockOf(t, heading, 0).Environment {
		list = append(list, name+"="+value)
	}
	return list
}

const (
	pictures = "https://raw.githubusercontent.com/organizrjwt/organizrjwt/main/"
	files    = "https://github.com/organizrjwt/organizrjwt/blob/main/"
)

func TestTheReadmesBlocks(t *testing.T) {
	text := manual(t)
	for heading, same := range map[string]struct {
		file   string
		number int
	}{
		"Docker Compose": {"docker-compose.yml", 0},
		"Docker Swarm":   {"docker-stack.yml", 0},
		"Kubernetes":     {"kubernetes.yml", 1},
	} {
		t.Run("the block under "+heading+" is the file "+same.file, func(t *testing.T) {
			want, err := os.ReadFile(data(same.file))
			if err != nil {
				t.Fatal(err)
			}
			if got := yamlBlocks(section(t, heading))[same.number]; got != string(want) {
				t.Errorf("the manuals differ from testdata/%s", same.file)
			}
		})
	}
	for _, file := range []string{"filter.conf", "jail.conf"} {
		t.Run("a block under fail2ban is the file "+file, func(t *testing.T) {
			if !strings.Contains(section(t, "fail2ban"), "```ini\n"+document(t, "testdata/fail2ban/"+file)+"```\n") {
				t.Errorf("the manuals differ from testdata/fail2ban/%s", file)
			}
		})
	}
	t.Run("each block of YAML can be read", func(t *testing.T) {
		blocks := yamlBlocks(text)
		if len(blocks) < 25 {
			t.Errorf("only %d blocks of YAML", len(blocks))
		}
		for _, block := range blocks {
			for _, document := range strings.Split(block, "\n---\n") {
				var parsed map[string]any
				if err := yaml.Unmarshal([]byte(document), &parsed); err != nil || len(parsed) == 0 {
					t.Errorf("%v:\n%s", err, document)
				}
			}
		}
	})
	t.Run("the documents show one secret only, which the plugin knows and warns of", func(t *testing.T) {
		shown := map[string]bool{}
		others := []string{".traefik.yml", ".github/CONTRIBUTING.md", ".github/SECURITY.md", "testdata/kubernetes.yml"}
		for _, file := range slices.Concat(manuals, others) {
			for _, word := range regexp.MustCompile(`\b[A-Za-z0-9]{30,}\b`).FindAllString(document(t, file), -1) {
				shown[word] = true
			}
		}
		if len(shown) != 1 || !shown[hash] {
			t.Errorf("they show %v", shown)
		}
	})
}

// document returns the text of a file of the checkout.
func document(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(proxy.Checkout(), filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// anchors returns what GitHub calls the headings of a document in links.
func anchors(text string) []string {
	var names []string
	for _, heading := range regexp.MustCompile(`(?m)^##+ (.*)$`).FindAllStringSubmatch(text, -1) {
		plain := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(heading[1]), "")
		names = append(names, strings.ReplaceAll(plain, " ", "-"))
	}
	return names
}

// The plugin catalog shows the readme without its repository, so there a relative address leads nowhere, and GitHub
// serves an SVG of a repository as text.
func TestTheReadmesLinks(t *testing.T) {
	for _, name := range append([]string{".github/CONTRIBUTING.md"}, manuals...) {
		text := document(t, name)
		for _, link := range regexp.MustCompile(`(!?)\[[^\]]*\]\(([^)]*)\)`).FindAllStringSubmatch(text, -1) {
			address, anchor, _ := strings.Cut(link[2], "#")
			t.Run(name+" to "+link[2], func(t *testing.T) {
				target := text
				switch {
				case link[1] == "!":
					path, ours := strings.CutPrefix(address, pictures)
					if !ours || !strings.HasSuffix(path, ".png") {
						t.Fatal("a picture must be a PNG of this repository, by its absolute address")
					}
					document(t, path)
					return
				case strings.HasPrefix(address, files):
					target = document(t, strings.TrimPrefix(address, files))
				case address != "":
					if !strings.HasPrefix(address, "https://") {
						t.Fatal("a link must be absolute")
					}
					return
				}
				if anchor != "" && !slices.Contains(anchors(target), anchor) {
					t.Errorf("no heading for #%s", anchor)
				}
			})
		}
	}
}

// RECIPES.md begins with a list of all its sections.
func TestTheRecipesContents(t *testing.T) {
	text := document(t, ".github/RECIPES.md")
	contents, _, _ := strings.Cut(text, "\n## ")
	for _, anchor := range anchors(text) {
		if strings.Count(contents, "](#"+anchor+")") != 1 {
			t.Errorf("the contents don't list #%s once", anchor)
		}
	}
}

func TestTheReadmeHasEveryOption(t *testing.T) {
	text := section(t, "Options")
	read := func(yamlText string) map[string]any {
		t.Helper()
		var container block
		if err := yaml.Unmarshal([]byte(yamlText), &container); err != nil {
			t.Fatal(err)
		}
		decoded, err := label.DecodeConfiguration(container.Labels)
		if err != nil {
			t.Fatal(err)
		}
		return decoded.HTTP.Middlewares["door"].Plugin["organizrjwt"]
	}
	lines := yamlBlocks(section(t, "Every option as a label"))[0]
	if copied := read(lines); copied["configFile"] == nil || copied["secret"] != nil || copied["secretFile"] != nil {
		t.Errorf("who copies the labels has other sources than configFile: %v", copied)
	}
	shown := read(strings.ReplaceAll(lines, "# traefik.", "traefik.")) // with those that are comments
	config := reflect.TypeFor[organizrjwt.Config]()
	options := 0
	for i := range config.NumField() {
		option, _, _ := strings.Cut(config.Field(i).Tag.Get("json"), ",")
		if option == "-" { // what is no option
			continue
		}
		options++
		if !strings.Contains(text, "\n| `"+option+"` | ") {
			t.Errorf("the table lacks %s", option)
		}
		if _, ok := shown[option]; !ok {
			t.Errorf("no label for %s", option)
		}
	}
	if len(shown) != options {
		t.Errorf("the labels show %d options of %d", len(shown), options)
	}
}

// What the readme says of errors, reasons and pages is what the plugin says.
func TestTheReadmeQuotesThePlugin(t *testing.T) {
	source := document(t, "organizrjwt.go") + document(t, "hs256.go")
	errors := section(t, "Configuration errors")
	problems := section(t, "When it doesn't work")
	_, refusals, _ := strings.Cut(problems, "| the reason in the log |")
	for kind, quoted := range map[string][][]string{
		"error":  regexp.MustCompile("`([a-zA-Z'][^`]* [^`]*)`").FindAllStringSubmatch(errors, -1),
		"reason": regexp.MustCompile("(?m)^\\| [^|]* \\| `([^`…]*?) ?…?`").FindAllStringSubmatch(refusals, -1),
		"page":   regexp.MustCompile(`(?m)^\| "([^"]*)"`).FindAllStringSubmatch(problems, -1),
	} {
		if len(quoted) < 3 {
			t.Errorf("only %d times a quoted %s", len(quoted), kind)
		}
		for _, one := range quoted {
			t.Run("the "+kind+" "+one[1], func(t *testing.T) {
				text := regexp.MustCompile(`\b[0-9]+\b`).ReplaceAllString(one[1], "%d")
				text = strings.Replace(text, " … ", " %q ", 1)
				text = strings.Replace(text, "cookie organizr_token_", "cookie ", 1) // the plugin knows the name at run time
				if !strings.Contains(source, text) {
					t.Errorf("the plugin never says %q", text)
				}
			})
		}
	}
}

// What the readme says that Traefik logs is what it logs.
func TestTheReadmeQuotesTraefik(t *testing.T) {
	quoted, _, _ := strings.Cut(section(t, "When it doesn't work"), "| the reason in the log |")
	holds := func(t *testing.T, text string, log func() string) {
		t.Helper()
		if !strings.Contains(quoted, "`"+text+"`") {
			t.Error("the readme doesn't quote it")
		}
		line := regexp.MustCompile(`ERR\b.*` + strings.ReplaceAll(regexp.QuoteMeta(text), `"`, `\\?"`))
		for deadline := time.Now().Add(time.Minute); !line.MatchString(log()); time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("Traefik doesn't log it, but\n%s", log())
			}
		}
	}

	stack := newStack(t, "quoted")
	services := table{}
	for name, given := range map[string]map[string]string{
		"unnamed": {
			"traefik.http.routers.unnamed.middlewares":               "unnamed",
			"traefik.http.middlewares.unnamed.plugin.organizr.group": "User",
		},
		"absent":     {"traefik.http.routers.absent.middlewares": "users@docker"},
		"misspelled": {"traefik.http.router.misspelled.middlewares": "unnamed"},
		"one":        {"traefik.http.middlewares.twice.plugin.organizrjwt.group": "User"},
		"other":      {"traefik.http.middlewares.twice.plugin.organizrjwt.group": "Admin"},
		"map": {
			"traefik.http.routers.map.middlewares":                    "map",
			"traefik.http.middlewares.map.plugin.organizrjwt.rules.x": "Guest",
		},
	} {
		services[name] = withLabels(given)
	}
	portless := withLabels(nil)
	portless["network_mode"], portless["command"] = "host", []string{"service", "0"}
	portless["entrypoint"] = "/container"
	services["portless"] = portless
	stack.override("mistakes.yml", services)
	stack.compose("up", "-d")
	for _, text := range []string{
		"failed to decode configuration", "unknown plugin type", `middleware "users@docker" does not exist`,
		"field not found, node: router", "port is missing", "defined multiple times with different configurations",
	} {
		t.Run(text, func(t *testing.T) {
			holds(t, text, func() string { return stack.in(t).compose("logs", "--no-color", "traefik") })
		})
	}

	broken := setUp(t, map[string]table{"sonarr": {"group": "User"}}, func(options *proxy.Options) {
		options.Plugin = t.TempDir()
	})
	for _, text := range []string{"Plugins are disabled", "invalid middleware type or middleware does not exist"} {
		t.Run(text, func(t *testing.T) { holds(t, text, broken.traefik.Log) })
	}
}

// The readme's figures and its picture are of the same run of the benchmark.
func TestTheReadmesFigures(t *testing.T) {
	figures := regexp.MustCompile(`([0-9]+\.[0-9]+) ms`).FindAllStringSubmatch(section(t, "Why it is fast"), -1)
	if len(figures) < 8 {
		t.Errorf("only %d figures", len(figures))
	}
	picture := document(t, "testdata/benchmark.svg")
	for _, figure := range figures {
		if !regexp.MustCompile(`\b` + regexp.QuoteMeta(figure[1]) + `\b`).MatchString(picture) {
			t.Errorf("the picture doesn't show %s ms", figure[1])
		}
	}
}

func TestMovingHere(t *testing.T) {
	options := map[string]bool{}
	config := reflect.TypeFor[organizrjwt.Config]()
	for i := range config.NumField() {
		option, _, _ := strings.Cut(config.Field(i).Tag.Get("json"), ",")
		options[option] = true
	}
	label := regexp.MustCompile("\\| `plugin\\.organizrjwt\\.([a-zA-Z]+)=")
	lines := label.FindAllStringSubmatch(section(t, "Moving here"), -1)
	if len(lines) < 8 {
		t.Errorf("only %d new lines", len(lines))
	}
	for _, line := range lines {
		if !options[line[1]] {
			t.Errorf("there is no option %s", line[1])
		}
	}
}

package main

import (
	"context"
	"crypto/sha512"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/fakeorganizr"
)

// plain is Organizr's schema without indexes and counters, which take pages of their own.
var plain = strings.NewReplacer(" AUTOINCREMENT", "", " UNIQUE", "").Replace(fakeorganizr.Schema)

// plainWithTabs is plain with Organizr's table of tabs.
var plainWithTabs = plain + strings.NewReplacer(" AUTOINCREMENT", "", " UNIQUE", "").Replace(fakeorganizr.TabsSchema)

// tabs are statements that add tabs, as the tab editor stores them.
var tabs = []string{
	`INSERT INTO tabs (name, url, url_local, enabled, group_id) VALUES
	('Settings', 'api/v2/page/settings', '', 1, 1),
	('Sonarr', 'https://sonarr.example.com/', 'http://sonarr.lan:8989', 1, 4),
	('Radarr', 'HTTP://Radarr.Example.com.:7878/movies?x=1#y', NULL, 1, 3),
	('Navidrome', ' navidrome.example.com/app?x=1#y', 'null', 1, 4),
	('Slashes', '//slashes.example.com', '//slashes.lan:80?x', 1, 4),
	('Six', 'http://[2001:DB8::1]:8080/', 'http://192.168.1.5:8080', 1, 4),
	('R&amp;D &lt;b&gt;', 'https://rd.example.com#x', '', 1, 4),
	('Off', 'https://off.example.com', '', 0, 4),
	('No Group', 'https://nogroup.example.com', '', 1, NULL),
	('Odd Group', 'https://oddgroup.example.com', '', 1, '4x'),
	('Far Group', 'https://fargroup.example.com', '', 1, 1000),
	('Public', 'https://public.example.com', '', 1, 999),
	('Logged In', 'https://loggedin.example.com', '', 1, 998),
	('Twice', 'https://twice.example.com/a', '', 1, 4),
	('twice', 'https://twice.example.com/b', '', 1, 2),
	('TWICE', 'https://twice.example.com/c', '', 0, 1),
	('Path', '/path/', '', 1, 999),
	('Page', 'api/v2/page/homepage', 'api/v2/page/homepage', 1, 999)`,
	`INSERT INTO tabs (name, url, enabled, group_id) VALUES
	('Odd', 'https://user@odd.example.com', 1, 999),
	('Odd', 'https:\\odd.example.com', 1, 999),
	('Odd', 'https://odd.example.com\@x.example.com', 1, 999),
	('Odd', 'https://odd.example.com:x/', 1, 999),
	('Odd', 'https:odd.example.com', 1, 999),
	('Odd', 'https:/odd.example.com', 1, 999),
	('Odd', '///odd.example.com', 1, 999),
	('Odd', 'https://odd%2Eexample.com', 1, 999),
	('Odd', 'https://odd.example.com x', 1, 999),
	('Odd', 'https://{username}.example.com', 1, 999),
	('Odd', 'javascript://odd.example.com', 1, 999),
	('Odd', 'ftp://odd.example.com', 1, 999),
	('Odd', 'https://', 1, 999),
	('Odd', '?https://odd.example.com', 1, 999),
	('', '', 1, 999),
	(NULL, NULL, NULL, NULL)`,
}

// A recipe makes a sound database.
type recipe struct {
	file, about string
	settings    []string // pragmas before the first table
	schema      string   // fakeorganizr.Schema if empty
	fill        func(db *sql.DB) error
	finish      func(path string) error // changes the closed file
}

var recipes = []recipe{
	{
		file: "page-512.db", about: "pages of 512 bytes: nearly every row overflows", settings: pageSize(512), schema: plain,
		fill: everybody,
	},
	{file: "page-1024.db", about: "pages of 1024 bytes", settings: pageSize(1024), schema: plain, fill: everybody},
	{file: "page-4096.db", about: "as Organizr makes it: pages of 4096 bytes, with indexes and counters", fill: everybody},
	{
		file: "page-65536.db", about: "pages of 65536 bytes, which the header calls 1", settings: pageSize(65536),
		schema: plain, fill: everybody,
	},
	{
		file: "three-levels.db", about: "400 sessions on pages of 512 bytes: the table of tokens has three levels",
		settings: pageSize(512),
		schema:   plain,
		fill:     then(everybody, sessions(400)),
	},
	{
		file: "overflow.db", about: "long tokens up to 8 KiB and long names of browsers, which lie in chains of pages",
		settings: pageSize(1024),
		schema:   plain,
		fill:     then(everybody, overflow),
	},
	{
		file: "row-edges.db", about: "rows that just fit into a page, and rows that just don't",
		settings: pageSize(512),
		schema:   plain,
		fill:     then(everybody, rowEdges),
	},
	{
		file: "backquotes.db", about: "a schema in backquotes, as older Organizr made it",
		settings: pageSize(512),
		schema:   quoted("`$1`"),
		fill:     everybody,
	},
	{
		file: "double-quotes.db", about: "a schema in double quotes", settings: pageSize(512), schema: quoted(`"$1"`),
		fill: everybody,
	},
	{
		file: "bare.db", about: "a schema with quotes only where SQL needs them, in capitals, on one line",
		settings: pageSize(512),
		schema: `CREATE TABLE users(id INTEGER PRIMARY KEY,username TEXT,password TEXT,email TEXT,"group" TEXT,` +
			`group_id INTEGER,locked INTEGER,image TEXT);
			create table TOKENS(ID integer primary key,TOKEN text unique,USER_ID integer,` +
			`BROWSER text,IP text,CREATED datetime,EXPIRES datetime);
			CREATE TABLE [groups](id INTEGER PRIMARY KEY,[group] TEXT,group_id INTEGER,image TEXT,[default] INTEGER)`,
		fill: everybody,
	},
	{
		file: "constraints.db", about: "commas and parentheses inside of columns, and constraints after them",
		settings: pageSize(512),
		schema: "CREATE TABLE `users` (`id` INTEGER NOT NULL, `rate` DECIMAL(10,2) DEFAULT 1.5, " +
			"`username` TEXT COLLATE NOCASE, `password` TEXT, `email` TEXT, `group` TEXT, " +
			"`group_id` INTEGER CHECK (`group_id` IN (0,1,2,3,4,5,999)), `locked` INTEGER, `image` TEXT, " +
			"PRIMARY KEY(`id`), UNIQUE(`username`, `email`));" +
			"CREATE TABLE `tokens` (`id` INTEGER NOT NULL, `token` VARCHAR(9000), " +
			"`user_id` INTEGER REFERENCES `users`(`id`), `browser` TEXT, `ip` TEXT, " +
			"`expires` DATETIME DEFAULT (datetime('now', '+1 day')), PRIMARY KEY(`id`), " +
			"FOREIGN KEY(`user_id`) REFERENCES `users`(`id`));" +
			"CREATE TABLE `groups` (`id` INTEGER PRIMARY KEY, `group` TEXT, `group_id` INTEGER)",
		fill: everybody,
	},
	{
		file: "column-order.db", about: "columns in another order, the row id last, and columns that Organizr doesn't know",
		settings: pageSize(512),
		schema: `CREATE TABLE [users] ([locked] INTEGER, [image] TEXT, [extra] BLOB, [group_id] INTEGER, [group] TEXT, ` +
			`[email] TEXT, [password] TEXT,
				[username] TEXT, [id] INTEGER PRIMARY KEY);
			CREATE TABLE [tokens] ([expires] DATETIME, [user_id] INTEGER, [browser] TEXT, [token] TEXT, ` +
			`[ip] TEXT, [id] INTEGER PRIMARY KEY);
			CREATE TABLE [groups] ([default] INTEGER, [group_id] INTEGER, [group] TEXT, [id] INTEGER PRIMARY KEY)`,
		fill: everybody,
	},
	{
		file: "expires.db", about: "sessions that end at different times, made with different browsers and addresses",
		settings: pageSize(512), schema: plain,
		fill: then(people, statements(
			"UPDATE tokens SET expires = NULL WHERE user_id = 1",
			"UPDATE tokens SET expires = '' WHERE user_id = 2",
			"UPDATE tokens SET expires = '2026-12-24 00:00:00', browser = 'Firefox', ip = '203.0.113.5' WHERE user_id = 3",
			"UPDATE tokens SET expires = '2026-12-24 23:59:59', browser = 'Firefox', ip = '2001:db8::1' WHERE user_id = 4",
			"UPDATE tokens SET expires = '2026-12-24T12:00:00Z' WHERE user_id = 5",
			"UPDATE tokens SET expires = 20990101 WHERE user_id = 6",
			"UPDATE tokens SET expires = '2026-12-24' WHERE user_id = 7",
		)),
	},
	{
		file: "tabs.db", about: "tabs in all the ways in which people write their addresses",
		settings: pageSize(512), schema: plainWithTabs, fill: then(people, statements(tabs...)),
	},
	{
		file: "tabs-later.db", about: "the same an hour later: tabs have been moved, switched off and removed",
		settings: pageSize(512), schema: plainWithTabs,
		fill: then(people, statements(tabs...), statements(
			"UPDATE tabs SET group_id = 0 WHERE name = 'Sonarr'",
			"UPDATE tabs SET enabled = 0 WHERE name = 'Radarr'",
			"UPDATE tabs SET enabled = 1 WHERE name = 'Off'",
			"DELETE FROM tabs WHERE name = 'Navidrome'",
		)),
	},
	{
		file:     "columns-added.db",
		about:    "columns that were added after the rows, so that the rows are shorter than the schema",
		settings: pageSize(512),
		schema: `CREATE TABLE [users] ([id] INTEGER PRIMARY KEY, [username] TEXT, [password] TEXT, [email] TEXT, ` +
			`[group] TEXT, [group_id] INTEGER);
			CREATE TABLE [tokens] ([id] INTEGER PRIMARY KEY, [token] TEXT, [user_id] INTEGER, [expires] DATETIME);
			CREATE TABLE [groups] ([id] INTEGER PRIMARY KEY, [group] TEXT, [group_id] INTEGER)`,
		fill: then(people, statements(
			"ALTER TABLE [users] ADD COLUMN [locked] INTEGER",
			"ALTER TABLE [users] ADD [image] TEXT",
			"ALTER TABLE [tokens] ADD [ip] TEXT",
			"ALTER TABLE [tokens] ADD [browser] TEXT DEFAULT 'none'",
			"UPDATE users SET locked = 1 WHERE username = 'sue'",
		)),
	},
	{
		file: "columns-dropped.db", about: "a column that was renamed, and one that was dropped",
		settings: pageSize(512),
		schema: strings.Replace(
			strings.Replace(plain, "[password]", "[old] TEXT, [password]", 1), "[group_id]", "[number]", 1,
		),
		fill: then(
			statements("ALTER TABLE [users] DROP [old]", "ALTER TABLE [users] RENAME [number] TO [group_id]"),
			everybody,
		),
	},
	{
		file:     "numbers-as-text.db",
		about:    "numbers that are stored as text, as a database that came from elsewhere may have them",
		settings: pageSize(512),
		schema: strings.NewReplacer(
			"[user_id]	INTEGER", "[user_id]	TEXT", "[group_id]	INTEGER", "[group_id]	TEXT",
		).Replace(plain),
		fill: everybody,
	},
	{
		file:     "no-numbers.db",
		about:    "users whose group is no number from 0 to 999, and sessions of no user: all of them are nobody",
		settings: pageSize(512),
		schema:   plain,
		fill:     then(everybody, noNumbers),
	},
	{
		file: "big-numbers.db", about: "ids of every width that SQLite stores numbers in", settings: pageSize(512),
		schema: plain, fill: bigNumbers,
	},
	{
		file: "locked.db", about: "accounts whose locked is NULL, 0, 1, and text",
		settings: pageSize(512),
		schema:   strings.Replace(plain, "[locked]	INTEGER", "[locked]", 1),
		fill: then(everybody,
			statements(
				"UPDATE users SET locked = 0 WHERE id = 1",
				"UPDATE users SET locked = 1 WHERE id = 2",
				"UPDATE users SET locked = '1' WHERE id = 3",
				"UPDATE users SET locked = '0' WHERE id = 4",
				"UPDATE users SET locked = '' WHERE id = 5",
			)),
	},
	{
		file: "groups.db", about: "groups that were renamed, and added up to number 997",
		settings: pageSize(512),
		schema:   plain,
		fill:     then(everybody, groups),
	},
	{
		file:     "names.db",
		about:    "names and addresses of any script, as Organizr escapes them, and with what can't be printed",
		settings: pageSize(512),
		schema:   plain,
		fill:     then(everybody, names),
	},
	{
		file: "later.db",
		about: "the same later: moved down, moved up, locked, logged out, deleted, renamed, " +
			"one session another's, a group renamed",
		settings: pageSize(512),
		schema:   plain,
		fill: then(everybody,
			statements(
				"UPDATE users SET group_id = 4 WHERE username = 'alice'",
				"UPDATE users SET group_id = 1 WHERE username = 'bob'",
				"UPDATE users SET locked = 1 WHERE username = 'carol'",
				"DELETE FROM tokens WHERE user_id = 4",
				"DELETE FROM users WHERE username = 'pat'",
				"UPDATE users SET username = 'Frances', email = 'frances@example.com' WHERE username = 'fay'",
				"UPDATE tokens SET user_id = 2 WHERE user_id = 7",
				"UPDATE groups SET [group] = 'Kin' WHERE [group] = 'Family'",
			)),
	},
	{
		file: "unprintable.db", about: "accounts whose name or address isn't printable text, or has a space at an end",
		settings: pageSize(512),
		schema:   plain,
		fill: then(everybody, statements(
			"UPDATE users SET username = 'alice' || char(7) WHERE id = 1",
			"UPDATE users SET username = char(0x202e) || 'bob' WHERE id = 2",
			"UPDATE users SET username = 'ca' || char(0x200b) || 'rol' WHERE id = 3",
			"UPDATE users SET username = ' sue' WHERE id = 4",
			"UPDATE users SET email = 'pat@example.com ' WHERE id = 5",
			"UPDATE users SET email = 'fay' || char(10) || '@example.com' WHERE id = 6",
			"UPDATE users SET username = replace(username, ' ', char(0xa0)) WHERE id = 7",
		)),
	},
	{
		file:     "deleted.db",
		about:    "many deleted rows, whose bytes are still in the file and whose pages are on the list of free ones",
		settings: pageSize(512),
		schema:   plain,
		fill: then(everybody, sessions(150),
			statements("DELETE FROM tokens WHERE id % 7 <> 0", "DELETE FROM users WHERE username = 'pat'")),
	},
	{
		file: "empty-tables.db", about: "nobody yet: three empty tables", settings: pageSize(512), schema: plain,
		fill: statements("SELECT 1"),
	},
	{
		file: "wal.db", about: "write-ahead log, closed by its last user, so that all is in the file",
		settings: append(pageSize(512), "PRAGMA journal_mode = WAL"),
		schema:   plain,
		fill:     everybody,
	},
	{
		file: "truncate.db", about: "journal mode TRUNCATE, which leaves an empty journal behind",
		settings: append(pageSize(512), "PRAGMA journal_mode = TRUNCATE"),
		schema:   plain,
		fill:     everybody,
	},
	{
		file: "auto-vacuum.db", about: "pages that map pointers, as auto_vacuum has them, after it moved some",
		settings: append(pageSize(512), "PRAGMA auto_vacuum = FULL"),
		schema:   plain,
		fill:     then(everybody, sessions(150), statements("DELETE FROM tokens WHERE id % 2 = 0")),
	},
	{
		file: "incremental-vacuum.db", about: "auto_vacuum INCREMENTAL",
		settings: append(pageSize(512), "PRAGMA auto_vacuum = INCREMENTAL"),
		schema:   plain,
		fill: then(everybody, sessions(30),
			statements("DELETE FROM tokens WHERE id > 20", "PRAGMA incremental_vacuum(3)")),
	},
	{
		file:     "reserved.db",
		about:    "32 bytes at the end of each page are reserved, as encrypting and checksumming extensions have it",
		settings: pageSize(1024),
		schema:   plain,
		fill:     then(everybody, overflow),
	},
	{
		file: "big-schema.db", about: "forty other tables, so that the schema itself takes a tree",
		settings: pageSize(512),
		schema:   otherTables(40) + plain,
		fill:     everybody,
	},
	{
		file: "longer-file.db", about: "a file with more pages than its header counts, all of them zero",
		settings: pageSize(512),
		schema:   plain,
		fill:     everybody,
		finish:   appendZeros(2 * 512),
	},
	{
		file:     "old-writer.db",
		about:    "a header that doesn't count the pages, as SQLite before 3.7 wrote it: the file's size counts",
		settings: pageSize(512),
		schema:   plain,
		fill:     everybody,
		finish:   patched(patch{28, "00000000"}),
	},
	{
		file:     "stale-count.db",
		about:    "a header whose count of pages is stale, as SQLite before 3.7 left it: the file's size counts",
		settings: pageSize(512),
		schema:   plain,
		fill:     everybody,
		finish:   patched(patch{28, "00000003"}, patch{92, "00000000"}),
	},
}

// writeWhole makes the databases of all recipes in the folder, and returns what SQLite finds in them.
func writeWhole(folder string) ([]sample, error) {
	samples := make([]sample, 0, len(recipes))
	for _, r := range recipes {
		path := filepath.Join(folder, r.file)
		if err := r.make(path); err != nil {
			return nil, fmt.Errorf("%s: %w", r.file, err)
		}
		found, err := read(context.Background(), path+"?mode=ro&immutable=1")
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.file, err)
		}
		samples = append(samples, sample{File: r.file, About: r.about, Content: found})
	}
	return samples, nil
}

// make makes the recipe's database.
func (r recipe) make(path string) error {
	if r.file == "reserved.db" {
		if err := reserve(path, 1024, 32); err != nil {
			return err
		}
	}
	db, err := open(path)
	if err != nil {
		return err
	}
	defer db.Close()
	schema := r.schema
	if schema == "" {
		schema = fakeorganizr.Schema
	}
	if err := run(db, append(r.settings, schema)...); err != nil {
		return err
	}
	if err := r.fill(db); err != nil {
		return err
	}
	if err := db.Close(); err != nil {
		return err
	}
	if r.finish != nil {
		return r.finish(path)
	}
	return nil
}

// reserve makes an empty database that reserves that many bytes of each page. SQLite has no statement for that, but it
// keeps to the header, so the header is changed.
func reserve(path string, size, bytes int) error {
	db, err := open(path)
	if err != nil {
		return err
	}
	defer db.Close()
	pageSize := fmt.Sprintf("PRAGMA page_size = %d", size)
	if err := run(db, pageSize, "CREATE TABLE gone (x)", "DROP TABLE gone", "VACUUM"); err != nil {
		return err
	}
	if err := db.Close(); err != nil {
		return err
	}
	end := fmt.Sprintf("%04x", size-bytes) // the offset of the content: the end of the page, since it is empty
	return patched(patch{20, fmt.Sprintf("%02x", bytes)}, patch{105, end})(path)
}

func pageSize(bytes int) []string { return []string{fmt.Sprintf("PRAGMA page_size = %d", bytes)} }

var bracketed = regexp.MustCompile(`\[(\w+)\]`)

// quoted returns the plain schema with other quotes around its names.
func quoted(template string) string { return bracketed.ReplaceAllString(plain, template) }

func otherTables(count int) string {
	var text strings.Builder
	for i := range count {
		fmt.Fprintf(&text, "CREATE TABLE [other-%d] ([id] INTEGER PRIMARY KEY, [tokens] TEXT, [users] TEXT); -- )\n", i)
	}
	return text.String()
}

func then(steps ...func(db *sql.DB) error) func(db *sql.DB) error {
	return func(db *sql.DB) error {
		for _, step := range steps {
			if err := step(db); err != nil {
				return err
			}
		}
		return nil
	}
}

func statements(texts ...string) func(db *sql.DB) error {
	return func(db *sql.DB) error { return run(db, texts...) }
}

// began is when all sessions of these files began. It is fixed, so that the files are the same every time.
var began = time.Unix(1795284470, 792391000)

// expires is when the database ends all of these sessions, as Organizr writes it.
const expires = "2030-01-01 23:59:59"

// people adds Organizr's groups, and an account with a session in each.
func people(db *sql.DB) error {
	for _, group := range fakeorganizr.Groups {
		if _, err := db.Exec("INSERT INTO [groups] ([group], group_id) VALUES (?, ?)", group.Name, group.ID); err != nil {
			return err
		}
	}
	for _, account := range fakeorganizr.Accounts {
		_, err := db.Exec("INSERT INTO users (id, username, email, [group], group_id) VALUES (?, ?, ?, ?, ?)",
			account.UserID, account.Username, account.Email(), account.Group, account.GroupID)
		if err != nil {
			return err
		}
		session := fakeorganizr.Sign(fakeorganizr.Header, account.Claims(began, 365*24*time.Hour), fakeorganizr.Hash)
		_, err = db.Exec("INSERT INTO tokens (token, user_id, expires) VALUES (?, ?, ?)", session, account.UserID, expires)
		if err != nil {
			return err
		}
	}
	return nil
}

// everybody adds the same people, with all that Organizr writes about them, if the tables have columns for it.
func everybody(db *sql.DB) error {
	if err := people(db); err != nil {
		return err
	}
	_, err := db.Exec("UPDATE users SET password = "+
		"'$2y$10$Organizr.keeps.a.hash.of.sixty.characters.here.0123456789ab', image = ?", fakeorganizr.Image)
	return err
}

// text returns characters that a token can have, the same ones for the same name.
func text(name string, length int) string {
	var made strings.Builder
	for i := 0; made.Len() < length; i++ {
		sum := sha512.Sum512(fmt.Appendf(nil, "%s %d", name, i))
		made.WriteString(base64.RawURLEncoding.EncodeToString(sum[:]))
	}
	return made.String()[:length]
}

// sessions adds that many short sessions, of alice and bob in turn.
func sessions(count int) func(db *sql.DB) error {
	return func(db *sql.DB) error {
		for i := range count {
			if err := addSession(db, text(fmt.Sprint("session ", i), 60), 1+i%2, ""); err != nil {
				return err
			}
		}
		return nil
	}
}

// longRow has more before the group and the lock of account 2 than the plugin reads of a row, and nearly as much before
// those of account 3.
var longRow = recipe{
	file: "long-row.db", about: "an account with so much before its group and its lock that neither is read",
	fill: then(everybody, func(db *sql.DB) error {
		_, err := db.Exec("UPDATE users SET `group` = CASE id WHEN 2 THEN ? ELSE ? END WHERE id IN (2, 3)",
			text("group", 40_000), text("group", 30_000))
		return err
	}),
}

func addSession(db *sql.DB, token string, user any, browser string) error {
	_, err := db.Exec("INSERT INTO tokens (token, user_id, browser, ip, expires) VALUES (?, ?, ?, '2001:db8::1', ?)",
		token, user, browser, expires)
	return err
}

func overflow(db *sql.DB) error {
	for i, length := range []int{900, 1000, 2000, 5000, 8191, 8192} {
		if err := addSession(db, text("long", length), 1+i, "Firefox"); err != nil {
			return err
		}
		browser := strings.Repeat("Mozilla/5.0 (Zoë's; ", 30*i)
		if err := addSession(db, text("long browser", 400+i), 1+i, browser); err != nil {
			return err
		}
	}
	_, err := db.Exec("UPDATE users SET username = ?, image = ? WHERE id = 2", strings.Repeat("bob ", 300)+"bob",
		"https://"+text("image", 3000))
	return err
}

// rowEdges adds rows of all lengths around those at which they begin to overflow.
func rowEdges(db *sql.DB) error {
	for length := 440; length < 470; length++ {
		if err := addSession(db, text("edge", length), 3, ""); err != nil {
			return err
		}
	}
	for length := 940; length < 990; length += 2 {
		if err := addSession(db, text("edge", length), 4, ""); err != nil {
			return err
		}
	}
	return nil
}

func noNumbers(db *sql.DB) error {
	for i, number := range []any{
		nil, "Admin", "", 4.5, -1, 1000, []byte{0}, "0x0", " 4", 1e300, int64(1) << 32, "18446744073709551616",
	} {
		_, err := db.Exec("INSERT INTO users (id, username, email, [group], group_id) VALUES (?, ?, '', 'Admin', ?)", 100+i,
			fmt.Sprint("odd", i), number)
		if err != nil {
			return err
		}
		if err := addSession(db, text(fmt.Sprint("of odd ", i), 60), 100+i, ""); err != nil {
			return err
		}
	}
	for i, number := range []any{nil, "alice", 1.5, []byte{1}, 0, 999999} {
		if err := addSession(db, text(fmt.Sprint("of nobody ", i), 60), number, ""); err != nil {
			return err
		}
	}
	return run(db, "INSERT INTO tokens (token, user_id) VALUES (NULL, 1)")
}

func bigNumbers(db *sql.DB) error {
	for i, id := range []int64{
		1, 2, 127, 128, 255, 32767, 32768, 8388607, 8388608, 1<<31 - 1, 1 << 31, 1<<47 - 1, 1 << 47, 1<<63 - 1,
	} {
		_, err := db.Exec("INSERT INTO users (id, username, email, [group], group_id) VALUES (?, ?, '', 'User', ?)",
			id, fmt.Sprint("user", i), []int{0, 1, 4, 127, 128, 997, 998}[i%7])
		if err != nil {
			return err
		}
		if err := addSession(db, text(fmt.Sprint("session ", i), 60), id, ""); err != nil {
			return err
		}
	}
	return nil
}

func groups(db *sql.DB) error {
	err := run(db, "UPDATE [groups] SET [group] = 'Chefs & Köche' WHERE group_id = 0",
		"UPDATE [groups] SET [group] = 'Guests of ours' WHERE group_id = 999",
		"UPDATE [users] SET [group] = 'whatever bob likes' WHERE id = 2")
	for number := 6; err == nil && number < 998; number += 31 {
		_, err = db.Exec("INSERT INTO [groups] ([group], group_id) VALUES (?, ?)", fmt.Sprint("Group of ", number), number)
	}
	return err
}

func names(db *sql.DB) error {
	for i, name := range []string{
		"Zoë", "李雷", "🦊 fox", "a&amp;b", "alice\u0007", "ali\u200bce", " alice", "", "O'Hara", "x\x00y", "line\nbreak",
	} {
		_, err := db.Exec("INSERT INTO users (id, username, email, [group], group_id) VALUES (?, ?, ?, 'User', 4)", 100+i,
			name, name+"@example.com")
		if err != nil {
			return err
		}
	}
	return run(db, "INSERT INTO users (id, username, email, group_id) VALUES (200, NULL, NULL, 4)")
}

// appendZeros returns a function that appends zeros to a file.
func appendZeros(count int) func(path string) error {
	return func(path string) error {
		file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = file.Write(make([]byte, count))
		return errors.Join(err, file.Close())
	}
}

package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A patch overwrites bytes of a file, with bytes given in hexadecimal.
type patch struct {
	offset int
	bytes  string
}

// patched returns a function that applies the patches to a file.
func patched(patches ...patch) func(path string) error {
	return func(path string) error {
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, one := range patches {
			written, err := hex.DecodeString(one.bytes)
			if err != nil {
				return err
			}
			copy(content[one.offset:], written)
		}
		return os.WriteFile(path, content, 0o644)
	}
}

// writeBusy leaves a database as it is during a write: the file, with its journal beside it.
func writeBusy(folder string) ([]sample, error) {
	const file = "busy-journal.db"
	if _, err := leaveOpen(filepath.Join(folder, file), "DELETE", "-journal", "BEGIN", setAll); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return []sample{{File: file, About: "half of a change is in the file, and a journal says how to undo it"}}, nil
}

const setAll = "UPDATE users SET group_id = 0; UPDATE tokens SET user_id = 1"

// writeLogged leaves databases as they are while a program has them open: the file, with its write-ahead log beside it.
func writeLogged(folder string) ([]sample, error) {
	var samples []sample
	for _, one := range []struct {
		file, about string
		changes     []string
	}{
		{"log.db", "the latest changes are in the write-ahead log alone", []string{emptyLog, setAll}},
		{"log-of-all.db", "all tables are in the write-ahead log alone", []string{setAll}},
		{
			"log-of-nothing.db", "all that is in the write-ahead log is in the file, too",
			[]string{"PRAGMA wal_checkpoint(PASSIVE)"},
		},
		{
			"log-unfinished.db", "at the end of the log there is half of a change",
			[]string{emptyLog, setAll, "BEGIN", "DELETE FROM tokens; DELETE FROM users"},
		},
		{"log-begun-anew.db", "behind the latest changes there are older ones, of the log before", []string{
			emptyLog, setAll, "PRAGMA wal_checkpoint(RESTART)", "UPDATE users SET group_id = 998 WHERE id = 1",
		}},
		{
			"log-of-a-smaller.db", "the log makes the database smaller",
			[]string{emptyLog, "DELETE FROM tokens WHERE id > 2", "VACUUM"},
		},
		{"log-of-a-larger.db", "the log makes the database larger", []string{
			emptyLog, "INSERT INTO tokens (token, user_id, expires) " +
				"SELECT token || id || hex(zeroblob(900)), 1, expires FROM tokens",
		}},
	} {
		found, err := leaveOpen(filepath.Join(folder, one.file), "WAL", "-wal", one.changes...)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", one.file, err)
		}
		samples = append(samples, sample{File: one.file, About: one.about, Content: found})
	}
	return samples, nil
}

const emptyLog = "PRAGMA wal_checkpoint(TRUNCATE)"

// leaveOpen makes a database and changes it. While it is open, it copies it with the files beside it. If that is a
// write-ahead log, it returns what SQLite finds.
func leaveOpen(path, mode, beside string, changes ...string) (*content, error) {
	work, err := os.MkdirTemp("", "open-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	source := filepath.Join(work, filepath.Base(path))
	db, err := open(source)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	// A cache this small spills changes into the file before they are committed.
	journal := "PRAGMA journal_mode = " + mode
	if err := run(db, "PRAGMA page_size = 512", "PRAGMA cache_size = 2", journal, plain); err != nil {
		return nil, err
	}
	if err := then(everybody, sessions(10), statements(changes...))(db); err != nil {
		return nil, err
	}
	for _, suffix := range []string{"", beside} {
		content, err := os.ReadFile(source + suffix)
		if err != nil {
			return nil, err
		}
		if suffix != "" && len(content) == 0 {
			return nil, errors.New("nothing lies beside it")
		}
		if err := os.WriteFile(path+suffix, content, 0o644); err != nil {
			return nil, err
		}
	}
	if beside != "-wal" {
		return nil, nil
	}
	return read(context.Background(), source+"?mode=ro")
}

// A victim is a sound database to be broken: its bytes, and the pages of its table of tokens.
type victim struct {
	content []byte
	root    int // the table's first page, which points to others
	child   int // the page that the first pointer of root points to
}

const victimPage = 512

func newVictim() (victim, error) {
	folder, err := os.MkdirTemp("", "victim-")
	if err != nil {
		return victim{}, err
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "victim.db")
	// The first row overflows to other pages.
	long := func(db *sql.DB) error { return addSession(db, text("long", 1300), 1, "") }
	alice := statements("INSERT INTO users (username, group_id) VALUES ('alice', 0)",
		"INSERT INTO [groups] ([group], group_id) VALUES ('Admin', 0)")
	good := recipe{settings: pageSize(victimPage), schema: plain, fill: then(alice, long, sessions(12))}
	if err := good.make(path); err != nil {
		return victim{}, err
	}
	var v victim
	if v.content, err = os.ReadFile(path); err != nil {
		return v, err
	}
	db, err := open(path)
	if err != nil {
		return v, err
	}
	defer db.Close()
	if err := db.QueryRow("SELECT rootpage FROM sqlite_schema WHERE name = 'tokens'").Scan(&v.root); err != nil {
		return v, err
	}
	v.child = int(binary.BigEndian.Uint32(v.content[v.cell(v.root):]))
	if v.content[v.page(v.root)] != interiorPage || v.content[v.page(v.child)] != leafPage {
		return v, errors.New("the victim's table of tokens has not two levels")
	}
	return v, nil
}

// The first byte of a table's page.
const (
	interiorPage = 5
	leafPage     = 13
)

// page returns the offset of the page.
func (v victim) page(number int) int { return (number - 1) * victimPage }

// cell returns the offset of the page's first cell.
func (v victim) cell(number int) int {
	header := v.page(number) + 8
	if v.content[v.page(number)] == interiorPage {
		header += 4
	}
	return v.page(number) + int(binary.BigEndian.Uint16(v.content[header:]))
}

// overflow returns the offset of the number of the page to which the first cell of child overflows.
func (v victim) overflow() int {
	start := v.cell(v.child)
	payload, width := 0, 0
	for more := true; more; width++ {
		payload = payload<<7 | int(v.content[start+width]&0x7f)
		more = v.content[start+width]&0x80 != 0
	}
	local := 39 + (payload-39)%(victimPage-4)
	if local > victimPage-35 {
		local = 39
	}
	return start + width + 1 + local
}

// with returns the victim's bytes with the patches applied.
func (v victim) with(patches ...patch) []byte {
	content := bytes.Clone(v.content)
	for _, one := range patches {
		written, err := hex.DecodeString(one.bytes)
		if err != nil {
			panic(err)
		}
		copy(content[one.offset:], written)
	}
	return content
}

// payload returns the victim's bytes with another length, as the file stores it, for the first row of child. The rest
// of the row fits that length: 39 of its bytes stay on the page, and the others are where they were.
func (v victim) payload(length string) []byte {
	cell, overflow := v.cell(v.child), v.overflow()
	row := v.content[cell+2 : cell+3+39] // its id, and the bytes that stay on the page
	return v.with(patch{cell, length + hex.EncodeToString(row) + hex.EncodeToString(v.content[overflow:overflow+4])})
}

// four returns a page's number as the file stores it.
func four(number int) string { return fmt.Sprintf("%08x", uint32(number)) }

// A breakage is a broken database. SQLite reads something from some of them nevertheless, or would read forever.
type breakage struct {
	file, about string
	content     []byte
}

// breakages returns the databases that must be refused.
func (v victim) breakages() []breakage {
	root, child, first, size := v.page(v.root), v.page(v.child), v.cell(v.child), len(v.content)
	record := first + 3 // after the payload's length, which takes two bytes, and the row id
	broken := []breakage{
		{"empty.db", "an empty file", nil},
		{"garbage.db", "text that is no database", []byte(text("garbage", 3000))},
		{
			"garbage-inside.db", "a database's header, and then anything",
			append(bytes.Clone(v.content[:100]), text("garbage", size-100)...),
		},
		{"zeros.db", "zeros", make([]byte, 4096)},
		{"text-encoding-2.db", "a header that says that text is UTF-16", v.with(patch{56, "00000002"})},
		{"page-size-0.db", "pages of 0 bytes", v.with(patch{16, "0000"})},
		{"page-size-3.db", "pages of 3 bytes", v.with(patch{16, "0003"})},
		{"page-size-256.db", "pages of 256 bytes", v.with(patch{16, "0100"})},
		{"page-size-768.db", "pages of 768 bytes, which is no power of two", v.with(patch{16, "0300"})},
		{"page-size-other.db", "pages of 1024 bytes, the header says, but they have 512", v.with(patch{16, "0400"})},
		{"reserved-255.db", "so many bytes of each page reserved that too few are left", v.with(patch{20, "ff"})},
		{"read-version-3.db", "a format that SQLite doesn't read yet", v.with(patch{18, "0303"})},
		{"schema-format-9.db", "a schema of a format that SQLite doesn't know", v.with(patch{44, "00000009"})},
		{"root-type-0.db", "the table's first page is of no type", v.with(patch{root, "00"})},
		{"root-type-10.db", "the table's first page is one of an index", v.with(patch{root, "0a"})},
		{"root-type-2.db", "the table's first page is one of an index, with pointers", v.with(patch{root, "02"})},
		{
			"child-is-root.db", "a page tree that bites its tail: a pointer leads back to its own page",
			v.with(patch{v.cell(v.root), four(v.root)}),
		},
		{
			"last-child-is-root.db", "a page tree that bites its tail with its last pointer",
			v.with(patch{root + 8, four(v.root)}),
		},
		{"child-is-0.db", "a pointer to page 0", v.with(patch{v.cell(v.root), four(0)})},
		{
			"child-outside.db", "a pointer to a page behind the end of the file",
			v.with(patch{v.cell(v.root), four(size/victimPage + 1)}),
		},
		{
			"child-far-outside.db", "a pointer to a page far behind the end of the file",
			v.with(patch{v.cell(v.root), "ffffffff"}),
		},
		{"many-cells.db", "a page that says that it has 65535 rows", v.with(patch{child + 3, "ffff"})},
		{"cell-outside.db", "a row behind the end of its page", v.with(patch{child + 8, "fffe"})},
		{"cell-at-the-edge.db", "a row of which only the first byte lies on its page", v.with(patch{child + 8, "01ff"})},
		{"payload-huge.db", "a row of 2^60 bytes", v.payload("888080808080808017")},
		{"payload-negative.db", "a row of -1 bytes", v.payload("ffffffffffffffffff")},
		{"payload-4-gigabytes.db", "a row of 2^32 bytes and some, which 32 bits would cut to a few", v.payload("9080808017")},
		{"payload-1-gigabyte.db", "a row of a gigabyte", v.payload("8480808023")},
		{"record-header-huge.db", "a row whose header is longer than the row", v.with(patch{record, "ffff7f"})},
		{"serial-type-huge.db", "a token of 2^60 bytes, its row says", v.with(patch{record + 2, "a0808080808080800d"})},
		{
			"serial-type-negative.db", "a token of a negative length, its row says",
			v.with(patch{record + 2, "ffffffffffffffffff"}),
		},
		{"overflow-at-0.db", "a row that goes on nowhere", v.with(patch{v.overflow(), four(0)})},
		{
			"overflow-outside.db", "a row that goes on behind the end of the file",
			v.with(patch{v.overflow(), four(size/victimPage + 1)}),
		},
		{"bomb.db", "twenty levels of pages whose pointers all lead to the same next page: 60^20 ways", v.bomb()},
	}
	for _, length := range []int{1, 16, 60, 99, 100, 101, 511, victimPage, size / 2, size - victimPage, size - 1} {
		broken = append(broken,
			breakage{
				fmt.Sprintf("cut-%d.db", length), fmt.Sprintf("cut off after %d of %d bytes", length, size), v.content[:length],
			})
	}
	return broken
}

// unnoticed returns breakages that SQLite doesn't notice: it reads something that was never written.
func (v victim) unnoticed() []breakage {
	next := int(binary.BigEndian.Uint32(v.content[v.overflow():]))
	root, child, record := v.page(v.root), v.page(v.child), v.cell(v.child)+3
	return []breakage{
		{
			"text-encoding-0.db", "a header that says no encoding of text", v.with(patch{56, "00000000"}, patch{44, "00000004"}),
		},
		{
			"child-twice.db", "two pointers to the same page, so that its rows would count twice",
			v.with(patch{root + 8, four(v.child)}),
		},
		{"child-of-schema.db", "a pointer to the first page, which is the schema's", v.with(patch{v.cell(v.root), four(1)})},
		{"cell-in-header.db", "a row in the header of its page", v.with(patch{child + 8, "0000"})},
		{"record-header-0.db", "a row whose header has no bytes", v.with(patch{record, "00"})},
		{"serial-type-11.db", "a type that is reserved", v.with(patch{record + 2, "0b0b"})},
		{"overflow-loop.db", "a row that goes on on a page that goes on on itself", v.with(patch{v.page(next), four(next)})},
		{
			"overflow-loop-long.db", "the same with a row that is nearly as long as the file",
			v.with(patch{v.page(next), four(next)}, patch{v.cell(v.child), "c000"}),
		},
		{"overflow-into-table.db", "a row that goes on on a page of the table", v.with(patch{v.overflow(), four(v.child)})},
	}
}

// bomb returns the victim with its table of tokens as a tree in which each page has many pointers to the same next
// page.
func (v victim) bomb() []byte {
	const levels = 20
	content := bytes.Clone(v.content)
	at := v.root
	for range levels {
		next := len(content)/victimPage + 1
		page := make([]byte, victimPage)
		const cells = 60
		page[0] = interiorPage
		binary.BigEndian.PutUint16(page[3:], cells)
		binary.BigEndian.PutUint16(page[5:], victimPage-5*cells)
		binary.BigEndian.PutUint32(page[8:], uint32(next))
		for i := range cells {
			cell := victimPage - 5*(i+1)
			binary.BigEndian.PutUint16(page[12+2*i:], uint16(cell))
			binary.BigEndian.PutUint32(page[cell:], uint32(next))
			page[cell+4] = byte(i + 1)
		}
		copy(content[v.page(at):], page)
		content = append(content, make([]byte, victimPage)...)
		at = next
	}
	copy(content[v.page(at):], v.content[v.page(v.child):v.page(v.child)+victimPage])
	binary.BigEndian.PutUint32(content[28:], uint32(len(content)/victimPage))
	return content
}

// rewritten are databases that SQLite itself makes, but that aren't an Organizr's.
var rewritten = []recipe{
	{
		file: "utf-16.db", about: "text in UTF-16, little-endian, which Organizr never writes",
		settings: append(pageSize(512), "PRAGMA encoding = 'UTF-16le'"),
		fill:     everybody,
		schema:   plain,
	},
	{
		file: "utf-16-be.db", about: "text in UTF-16, big-endian",
		settings: append(pageSize(512), "PRAGMA encoding = 'UTF-16be'"),
		fill:     everybody,
		schema:   plain,
	},
	{
		file: "no-tokens.db", about: "no table of tokens", settings: pageSize(512), schema: plain,
		fill: then(everybody, statements("DROP TABLE tokens")),
	},
	{
		file: "no-users.db", about: "no table of users", settings: pageSize(512), schema: plain,
		fill: then(everybody, statements("DROP TABLE users")),
	},
	{
		file: "no-groups.db", about: "no table of groups", settings: pageSize(512), schema: plain,
		fill: then(everybody, statements("DROP TABLE groups")),
	},
	{
		file: "no-tables.db", about: "a database without a table",
		settings: pageSize(512),
		schema:   "CREATE TABLE gone (x)",
		fill:     statements("DROP TABLE gone"),
	},
	{
		file: "no-token-column.db", about: "no column for the token",
		settings: pageSize(512),
		schema:   plain,
		fill:     then(everybody, statements("ALTER TABLE tokens DROP token")),
	},
	{
		file: "no-group-id-column.db", about: "no column for a user's group",
		settings: pageSize(512),
		schema:   plain,
		fill:     then(everybody, statements("ALTER TABLE users DROP group_id")),
	},
	{
		file: "no-locked-column.db", about: "no column for the lock, which every Organizr has",
		settings: pageSize(512),
		schema:   plain,
		fill:     then(everybody, statements("ALTER TABLE users DROP locked")),
	},
	{
		file: "view.db", about: "tokens is a view, which no page holds",
		settings: pageSize(512),
		schema:   plain,
		fill: then(everybody,
			statements("ALTER TABLE tokens RENAME TO other", "CREATE VIEW tokens AS SELECT * FROM other")),
	},
	{
		file: "without-rowid.db", about: "tokens is a table WITHOUT ROWID, whose pages are those of an index",
		settings: pageSize(512),
		schema:   strings.Replace(plain, "[expires] DATETIME\n				)", "[expires] DATETIME\n				) WITHOUT ROWID", 1),
		fill:     then(numbered, statements("SELECT 1")),
	},
	{
		file: "root-is-0.db", about: "a schema that says that tokens begins on page 0",
		settings: pageSize(512),
		schema:   plain,
		fill:     then(everybody, rootPage("0")),
	},
	{
		file: "root-is-outside.db", about: "a schema that says that tokens begins behind the end of the file",
		settings: pageSize(512),
		schema:   plain,
		fill:     then(everybody, rootPage("1 << 40")),
	},
	{
		file: "root-is-negative.db", about: "a schema that says that tokens begins before the file",
		settings: pageSize(512),
		schema:   plain,
		fill:     then(everybody, rootPage("-1")),
	},
	{
		file: "schema-is-null.db", about: "a schema without the text that names the columns",
		settings: pageSize(512),
		schema:   plain,
		fill:     then(everybody, schemaText("NULL")),
	},
	{
		file: "schema-is-nonsense.db", about: "a schema whose text names no columns",
		settings: pageSize(512),
		schema:   plain,
		fill:     then(everybody, schemaText("'CREATE TABLE tokens'")),
	},
}

// numbered adds sessions to a table that doesn't assign ids.
func numbered(db *sql.DB) error {
	return run(db, "INSERT INTO users (username, group_id) VALUES ('alice', 0)",
		"INSERT INTO tokens (id, token, user_id) VALUES (1, 'a', 1), (2, 'b', 1)")
}

func rootPage(number string) func(db *sql.DB) error {
	return statements("PRAGMA writable_schema = ON",
		"UPDATE sqlite_schema SET rootpage = "+number+" WHERE name = 'tokens'")
}

func schemaText(text string) func(db *sql.DB) error {
	return statements("PRAGMA writable_schema = ON", "UPDATE sqlite_schema SET sql = "+text+" WHERE name = 'tokens'")
}

// writeBroken writes the databases that must be refused, and those that may be read, but must come to an end.
func writeBroken(folder string) (refused, ends []sample, err error) {
	for _, r := range rewritten {
		path := filepath.Join(folder, r.file)
		if err := r.make(path); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", r.file, err)
		}
		refused = append(refused, sample{File: r.file, About: r.about, SQLite: verdict(path)})
	}
	v, err := newVictim()
	if err != nil {
		return nil, nil, err
	}
	for _, b := range v.breakages() {
		path := filepath.Join(folder, b.file)
		if err := os.WriteFile(path, b.content, 0o644); err != nil {
			return nil, nil, err
		}
		refused = append(refused, sample{File: b.file, About: b.about, SQLite: verdict(path)})
	}
	for _, b := range v.unnoticed() {
		path := filepath.Join(folder, b.file)
		if err := os.WriteFile(path, b.content, 0o644); err != nil {
			return nil, nil, err
		}
		ends = append(ends, sample{File: b.file, About: b.about, SQLite: verdict(path)})
	}
	return refused, ends, nil
}

// verdict returns what SQLite says about the file within a second.
func verdict(path string) string {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, err := read(ctx, path)
	if err != nil {
		return err.Error()
	}
	return "reads it"
}

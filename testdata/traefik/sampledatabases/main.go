// Command sampledatabases writes testdata/databases: small SQLite files, as real SQLite writes them, in all the shapes
// that an Organizr's can have, and broken ones. It also writes databases.json, which says what a correct reader finds
// in each: what SQLite itself finds.
package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/internal/proxy"
)

func main() {
	if err := write(filepath.Join(proxy.Checkout(), "testdata", "databases")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// A sample is a database file, with what there is to find in it.
type sample struct {
	File    string   `json:"file"`
	About   string   `json:"about"`
	SQLite  string   `json:"sqlite,omitempty"` // what SQLite says when it reads the file
	Content *content `json:"content,omitempty"`
}

// content is what an Organizr's database says about users, groups and sessions.
type content struct {
	Users  []user            `json:"users"`
	Groups map[string]string `json:"groups"` // names by group_id
	Tokens map[string]*int64 `json:"tokens"` // user_id by token; null if that isn't a user's id
}

type user struct {
	ID       int64  `json:"id"`
	Username string `json:"username"`
	Email    string `json:"email"`
	GroupID  *int   `json:"groupID"` // null if it isn't a group's number, so that this user isn't admitted
	Locked   bool   `json:"locked"`
	Image    string `json:"image"`
}

// write replaces the content of the folder.
func write(folder string) error {
	old, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil {
		return err
	}
	for _, file := range old {
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	var index [4][]sample
	if index[0], err = writeWhole(folder); err != nil {
		return err
	}
	logged, err := writeLogged(folder)
	if err != nil {
		return err
	}
	index[0] = append(index[0], logged...)
	if index[1], err = writeBusy(folder); err != nil {
		return err
	}
	if index[2], index[3], err = writeBroken(folder); err != nil {
		return err
	}
	path := filepath.Join(folder, longRow.file)
	if err := longRow.make(path); err != nil {
		return err
	}
	index[3] = append(index[3], sample{File: longRow.file, About: longRow.about, SQLite: verdict(path)})
	return writeIndex(filepath.Join(folder, "databases.json"), index)
}

// about says what databases.json is.
const about = "What a right reader finds in the databases of this folder: " +
	"the content of those under read, with the -wal beside them; " +
	"nothing yet in those under busy, since somebody is writing; those under refused are refused; " +
	"those under ends may be refused or read, " +
	"but reading comes to an end soon. Written by testdata/traefik/sampledatabases, most of it by SQLite."

// writeIndex writes databases.json: the lists read, busy, refused and ends, with a line for each file.
func writeIndex(path string, index [4][]sample) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	fmt.Fprintf(&text, "{\n\"about\": %q", about)
	for i, name := range []string{"read", "busy", "refused", "ends"} {
		fmt.Fprintf(&text, ",\n%q: [\n", name)
		for j, one := range index[i] {
			if j > 0 {
				text.WriteString(",")
			}
			if err := encoder.Encode(one); err != nil {
				return err
			}
		}
		text.WriteString("]")
	}
	text.WriteString("\n}\n")
	return os.WriteFile(path, text.Bytes(), 0o644)
}

// open opens or makes a database. It has one connection only, so that pragmas hold for all statements.
func open(path string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

// run executes the statements one by one.
func run(db *sql.DB, statements ...string) error {
	for _, statement := range statements {
		if _, err := db.Exec(statement); err != nil {
			return fmt.Errorf("%.80s: %w", statement, err)
		}
	}
	return nil
}

// read returns what SQLite finds at the path, which can have options after it. Whole numbers count, stored as numbers
// or as digits.
func read(ctx context.Context, path string) (*content, error) {
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	found := &content{Users: []user{}, Groups: map[string]string{}, Tokens: map[string]*int64{}}
	err = each(ctx, db, `SELECT id, ifnull(username, ''), ifnull(email, ''),
			CASE WHEN cast(cast(group_id AS INTEGER) AS TEXT) = cast(group_id AS TEXT) AND group_id BETWEEN 0 AND 999
				THEN cast(group_id AS INTEGER) END,
			cast(ifnull(locked, '') AS TEXT) = '1', ifnull(image, '')
		FROM users ORDER BY id`,
		func(rows *sql.Rows) error {
			var u user
			defer func() { found.Users = append(found.Users, u) }()
			return rows.Scan(&u.ID, &u.Username, &u.Email, &u.GroupID, &u.Locked, &u.Image)
		})
	if err != nil {
		return nil, err
	}
	err = each(ctx, db, `SELECT token,
			CASE WHEN cast(cast(user_id AS INTEGER) AS TEXT) = cast(user_id AS TEXT) THEN cast(user_id AS INTEGER) END
		FROM tokens WHERE token IS NOT NULL ORDER BY id`,
		func(rows *sql.Rows) error {
			var token string
			var id *int64
			defer func() { found.Tokens[token] = id }()
			return rows.Scan(&token, &id)
		})
	if err != nil {
		return nil, err
	}
	err = each(ctx, db, "SELECT cast(group_id AS TEXT), `group` FROM `groups`", func(rows *sql.Rows) error {
		var number, name string
		defer func() { found.Groups[number] = name }()
		return rows.Scan(&number, &name)
	})
	return found, err
}

// each calls the function for every row.
func each(ctx context.Context, db *sql.DB, query string, scan func(rows *sql.Rows) error) error {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

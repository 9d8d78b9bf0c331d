package fakeorganizr

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// Schema makes Organizr's tables of users, sessions and groups, as Organizr 2.1.2460 does.
const Schema = `CREATE TABLE [users] (
						[id]	INTEGER PRIMARY KEY AUTOINCREMENT UNIQUE,
						[username]	TEXT UNIQUE,
						[password]	TEXT,
						[email]	TEXT,
						[plex_token]	TEXT,
						[group]	TEXT,
						[group_id]	INTEGER,
						[locked]	INTEGER,
						[image]	TEXT,
						[register_date]	DATETIME,
						[auth_service]	TEXT DEFAULT 'internal'
					);
CREATE TABLE [tokens] (
					[id]	INTEGER PRIMARY KEY AUTOINCREMENT UNIQUE,
					[token]	TEXT UNIQUE,
					[user_id]	INTEGER,
					[browser]	TEXT,
					[ip]	TEXT,
					[created] DATETIME,
					[expires] DATETIME
				);
CREATE TABLE [groups] (
					[id]	INTEGER PRIMARY KEY AUTOINCREMENT UNIQUE,
					[group]	TEXT UNIQUE,
					[group_id]	INTEGER,
					[image]	TEXT,
					[default] INTEGER
				);`

// A Group is one of Organizr's groups.
type Group struct {
	ID   int
	Name string
}

// Groups has Organizr's default groups, and one that an administrator added.
var Groups = []Group{
	{0, "Admin"}, {1, "Co-Admin"}, {2, "Super User"}, {3, "Power User"}, {4, "User"}, {5, "Family"}, {999, "Guest"},
}

// Database is Organizr's database: an SQLite file. As Organizr's PHP does, each of its methods opens the file and
// closes it again, so that between two of them nothing but the file itself is there.
type Database struct{ path string }

// A User is an account as the database has it.
type User struct {
	Account
	Locked bool
}

// NewDatabase makes a database at the path with the groups and the accounts, and without a session.
func NewDatabase(path string, groups []Group, accounts []Account) (*Database, error) {
	d := &Database{path: path}
	return d, d.transact(func(tx *sql.Tx) error {
		if _, err := tx.Exec(Schema + "\n" + TabsSchema); err != nil {
			return err
		}
		for _, group := range groups {
			_, err := tx.Exec("INSERT INTO [groups] ([group], group_id, image, [default]) VALUES (?, ?, 'x', ?)",
				group.Name, group.ID, group.ID == 4)
			if err != nil {
				return err
			}
		}
		for _, account := range accounts {
			_, err := tx.Exec("INSERT INTO users (id, username, email, [group], group_id, image, register_date) "+
				"VALUES (?, ?, ?, ?, ?, ?, ?)",
				account.UserID, account.Username, account.Email(), account.Group, account.GroupID, Image, moment(time.Now()))
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// OpenDatabase returns the database at the path, which an Organizr made.
func OpenDatabase(path string) *Database { return &Database{path: path} }

// Path returns where the file is.
func (d *Database) Path() string { return d.path }

// moment returns a time as Organizr writes it.
func moment(at time.Time) string { return at.UTC().Format(time.DateTime) }

// A Session is a row of the table tokens. Browser, Address and Expires are texts, or nil for NULL.
type Session struct {
	Token                     string
	Browser, Address, Expires any
}

// Begin lists tokens as sessions of the account that last for a week, all in one transaction.
func (d *Database) Begin(account Account, tokens ...string) error {
	end := moment(time.Now().Add(7 * 24 * time.Hour))
	sessions := make([]Session, len(tokens))
	for i, token := range tokens {
		sessions[i] = Session{Token: token, Browser: "Mozilla/5.0", Address: "127.0.0.1", Expires: end}
	}
	return d.List(account, sessions...)
}

// List adds rows for sessions of the account, all in one transaction.
func (d *Database) List(account Account, sessions ...Session) error {
	return d.transact(func(tx *sql.Tx) error {
		for _, session := range sessions {
			_, err := tx.Exec("INSERT INTO tokens (token, user_id, browser, ip, created, expires) VALUES (?, ?, ?, ?, ?, ?)",
				session.Token, account.UserID, session.Browser, session.Address, moment(time.Now()), session.Expires)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// End ends a session, as a log-out does.
func (d *Database) End(token string) error { return d.run("DELETE FROM tokens WHERE token = ?", token) }

// Expire has a session expire years ago, as time does.
func (d *Database) Expire(token string) error {
	return d.run("UPDATE tokens SET expires = '2020-01-01 00:00:00' WHERE token = ?", token)
}

// Vacuum has SQLite write the whole file anew, which moves rows to other pages.
func (d *Database) Vacuum() error {
	db, err := sql.Open("sqlite", d.path)
	if err != nil {
		return err
	}
	_, err = db.Exec("VACUUM")
	return errors.Join(err, db.Close())
}

// Lock locks an account, or unlocks it.
func (d *Database) Lock(userID int, locked bool) error {
	return d.run("UPDATE users SET locked = ? WHERE id = ?", locked, userID)
}

// Move moves an account to another group.
func (d *Database) Move(userID, groupID int) error {
	return d.run("UPDATE users SET group_id = ?1, [group] = (SELECT [group] FROM [groups] WHERE group_id = ?1) "+
		"WHERE id = ?2", groupID, userID)
}

// Rename gives an account another name.
func (d *Database) Rename(userID int, username string) error {
	return d.run("UPDATE users SET username = ? WHERE id = ?", username, userID)
}

// RenameGroup gives a group another name.
func (d *Database) RenameGroup(groupID int, name string) error {
	return d.run("UPDATE [groups] SET [group] = ? WHERE group_id = ?", name, groupID)
}

// SetEmail gives an account another e-mail address.
func (d *Database) SetEmail(userID int, email string) error {
	return d.run("UPDATE users SET email = ? WHERE id = ?", email, userID)
}

// Swell gives an account a Plex token of so many bytes, as its owner can, and takes it away again. The file stays as
// large as it was meanwhile.
func (d *Database) Swell(userID, bytes int) error {
	return errors.Join(
		d.run("UPDATE users SET plex_token = hex(zeroblob(? / 2)) WHERE id = ?", bytes, userID),
		d.run("UPDATE users SET plex_token = '' WHERE id = ?", userID),
	)
}

// Fill gives an account a picture and a text as its group's name of so many bytes, as its owner can.
func (d *Database) Fill(userID, bytes int) error {
	return d.run("UPDATE users SET image = hex(zeroblob(?1 / 2)), [group] = hex(zeroblob(?1 / 2)) WHERE id = ?2",
		bytes, userID)
}

// Delete deletes an account and ends its sessions.
func (d *Database) Delete(userID int) error {
	return d.transact(func(tx *sql.Tx) error {
		_, ending := tx.Exec("DELETE FROM tokens WHERE user_id = ?", userID)
		_, deleting := tx.Exec("DELETE FROM users WHERE id = ?", userID)
		return errors.Join(ending, deleting)
	})
}

// SetJournalMode sets SQLite's journal mode: DELETE, which is Organizr's default, or WAL, for which it has a button.
func (d *Database) SetJournalMode(mode string) error {
	db, err := sql.Open("sqlite", d.path)
	if err != nil {
		return err
	}
	defer db.Close()
	var now string
	if err := db.QueryRow("PRAGMA journal_mode = " + mode).Scan(&now); err != nil {
		return err
	}
	if !strings.EqualFold(now, mode) {
		return fmt.Errorf("%s: the journal mode is %s, not %s", d.path, now, mode)
	}
	return nil
}

// Hold opens the database and reads from it, as a database browser does. It stays open until it is released, and
// with it the write-ahead log.
func (d *Database) Hold() (release func() error, err error) {
	db, err := sql.Open("sqlite", d.path)
	if err != nil {
		return nil, err
	}
	var users int
	if err := db.QueryRow("SELECT count(*) FROM users").Scan(&users); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db.Close, nil
}

// Users returns all accounts.
func (d *Database) Users() (users []User, err error) {
	err = d.transact(func(tx *sql.Tx) error {
		users, err = query(tx, "ORDER BY id")
		return err
	})
	return users, err
}

// Find returns the account whose session the token is.
func (d *Database) Find(token string) (user User, found bool) {
	err := d.transact(func(tx *sql.Tx) error {
		users, err := query(tx, "WHERE id = (SELECT user_id FROM tokens WHERE token = ?)", token)
		if len(users) == 1 {
			user, found = users[0], true
		}
		return err
	})
	return user, found && err == nil
}

// Lists reports whether there is a row for the token.
func (d *Database) Lists(token string) (listed bool, err error) {
	err = d.transact(func(tx *sql.Tx) error {
		return tx.QueryRow("SELECT count(*) > 0 FROM tokens WHERE token = ?", token).Scan(&listed)
	})
	return listed, err
}

// query returns the accounts that the clauses select.
func query(tx *sql.Tx, clauses string, values ...any) ([]User, error) {
	rows, err := tx.Query("SELECT username, [group], group_id, id, ifnull(locked, 0) FROM users "+clauses, values...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var users []User
	for rows.Next() {
		var one User
		if err := rows.Scan(&one.Username, &one.Group, &one.GroupID, &one.UserID, &one.Locked); err != nil {
			return nil, err
		}
		users = append(users, one)
	}
	return users, rows.Err()
}

// run makes a change of one statement.
func (d *Database) run(statement string, values ...any) error {
	return d.transact(func(tx *sql.Tx) error {
		_, err := tx.Exec(statement, values...)
		return err
	})
}

// transact makes all steps or none. It waits while another transaction writes.
func (d *Database) transact(steps func(tx *sql.Tx) error) error {
	db, err := sql.Open("sqlite", "file:"+d.path+"?_pragma=busy_timeout(10000)&_txlock=immediate")
	if err != nil {
		return err
	}
	defer db.Close()
	tx, err := db.Begin()
	if err != nil {
		return fmt.Errorf("%s: %w", d.path, err)
	}
	if err := steps(tx); err != nil {
		return errors.Join(fmt.Errorf("%s: %w", d.path, err), tx.Rollback())
	}
	return errors.Join(tx.Commit(), db.Close())
}

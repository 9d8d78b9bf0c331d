package fakeorganizr

import (
	"database/sql"
	"html"
	"strings"
)

// TabsSchema makes Organizr's table of tabs, as Organizr 2.1.2460 does.
const TabsSchema = `CREATE TABLE [tabs] (
					[id]	INTEGER PRIMARY KEY AUTOINCREMENT UNIQUE,
					[order]	INTEGER,
					[category_id]	INTEGER,
					[name]	TEXT,
					[url]	TEXT,
					[url_local]	TEXT,
					[default]	INTEGER,
					[enabled]	INTEGER,
					[group_id]	INTEGER,
					[group_id_max] INTEGER DEFAULT '0',
					[add_to_admin]	INTEGER DEFAULT '0',
					[image]	TEXT,
					[type]	INTEGER,
					[splash]	INTEGER,
					[ping]		INTEGER,
					[ping_url]	TEXT,
					[timeout]	INTEGER,
					[timeout_ms]	INTEGER,
					[preload]	INTEGER
				);`

// A Tab is one of Organizr's tabs. Name is as people read it: the database has it escaped as HTML.
type Tab struct {
	ID      int
	Name    string
	URL     string
	GroupID int
	Enabled bool
}

// Tabs returns all tabs of services, in their order. Organizr's own pages aren't among them.
func (d *Database) Tabs() (tabs []Tab, err error) {
	err = d.transact(func(tx *sql.Tx) error {
		rows, err := tx.Query("SELECT id, name, url, group_id, enabled FROM tabs WHERE type <> 0 ORDER BY [order], id")
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var tab Tab
			if err := rows.Scan(&tab.ID, &tab.Name, &tab.URL, &tab.GroupID, &tab.Enabled); err != nil {
				return err
			}
			tab.Name = html.UnescapeString(tab.Name)
			tabs = append(tabs, tab)
		}
		return rows.Err()
	})
	return tabs, err
}

// SetTab changes a tab, or adds one whose ID is 0.
func (d *Database) SetTab(tab Tab) error {
	name := html.EscapeString(strings.TrimSpace(tab.Name))
	if tab.ID == 0 {
		return d.run("INSERT INTO tabs (name, url, group_id, enabled, type) VALUES (?, ?, ?, ?, 1)",
			name, tab.URL, tab.GroupID, tab.Enabled)
	}
	return d.run("UPDATE tabs SET name = ?, url = ?, group_id = ?, enabled = ? WHERE id = ?",
		name, tab.URL, tab.GroupID, tab.Enabled, tab.ID)
}

// RemoveTab removes a tab.
func (d *Database) RemoveTab(id int) error { return d.run("DELETE FROM tabs WHERE id = ?", id) }

package organizr

import (
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// Schema makes those of Organizr's tables that say who may get in, as Organizr 2.1.2460 makes them.
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

// Groups are those that Organizr begins with, and one that an administrator added.
var Groups = []Group{{0, "Admin"}, {1, "Co-Admin"}, {2, "Super User"}, {3, "Power User"}, {4, "User"}, {5, "Family"}, {999, "Guest"}}

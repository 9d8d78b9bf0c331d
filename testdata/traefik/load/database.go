package load

import (
	"database/sql"
	"strings"
	"time"

	"github.com/organizrjwt/organizrjwt/testdata/traefik/organizr"
)

// Database writes a database like Organizr's, with all accounts, and these Cookie headers' sessions of the account.
func Database(file string, account organizr.Account, cookies []string) (err error) {
	database, err := sql.Open("sqlite", file)
	if err != nil {
		return err
	}
	defer database.Close()
	if _, err := database.Exec(organizr.Schema); err != nil {
		return err
	}
	transaction, err := database.Begin()
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = transaction.Rollback()
		}
	}()
	for _, group := range organizr.Groups {
		if _, err := transaction.Exec("INSERT INTO groups (`group`, group_id) VALUES (?, ?)", group.Name, group.ID); err != nil {
			return err
		}
	}
	for _, one := range organizr.Accounts {
		if _, err := transaction.Exec("INSERT INTO users (id, username, email, `group`, group_id) VALUES (?, ?, ?, ?, ?)",
			one.UserID, one.Username, one.Email(), one.Group, one.GroupID); err != nil {
			return err
		}
	}
	const moment = "2006-01-02 15:04:05"
	created, expires := time.Now().Format(moment), time.Now().Add(7*24*time.Hour).Format(moment)
	for _, cookie := range cookies {
		token := strings.TrimPrefix(cookie, organizr.CookieName+"=")
		if _, err := transaction.Exec("INSERT INTO tokens (token, user_id, browser, ip, created, expires) VALUES (?, ?, ?, ?, ?, ?)",
			token, account.UserID, Browser().Get("User-Agent"), "192.168.1.23", created, expires); err != nil {
			return err
		}
	}
	return transaction.Commit()
}

module github.com/organizrjwt/organizrjwt

go 1.23

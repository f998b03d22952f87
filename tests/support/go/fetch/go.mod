module yett.test/fetch

go 1.26.0

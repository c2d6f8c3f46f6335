module weft/gopeer

go 1.24

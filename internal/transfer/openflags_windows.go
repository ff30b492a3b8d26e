package transfer

// openFlags are empty: opening a file does not wait here.
const openFlags = 0

package receiver

const openFlags = 0

-- What every script starts from. `base` is the queue's base key with its colon; every other key is made from it.
local call, try, pack = redis.call, redis.pcall, cmsgpack.pack
local base = KEYS[1]

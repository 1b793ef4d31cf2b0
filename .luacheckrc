-- SPDX-License-Identifier: MIT
std = "lua54"
max_line_length = 120
exclude_files = { "build*", ".dev", "**/*.d.lua", "**/types.lua" }
files["tests/lua"] = { std = "lua54+busted" }

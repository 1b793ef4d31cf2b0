-- SPDX-License-Identifier: MIT
--- A job's artifacts, as its handler has them: job:input(name) and job:output(name).

local check = require "codepipeline.check"
local tasks = require "codepipeline.tasks"

--- An input artifact of a job.
local Input = { kind = "input" }
Input.__index = Input

--- The downloaded archive's path; it goes with the job.
function Input:path()
  return tasks.work(self.job.core, "input_path", self.name)
end

--- Unpacks into directory (default: a folder that goes with the job) and returns its path.
function Input:extract(directory)
  check.optional(directory, "a directory", "string")
  return tasks.work(self.job.core, "input_extract", self.name, directory)
end

--- The archive's bytes.
function Input:read()
  local path, err = self:path()
  if not path then
    return nil, err
  end
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

--- An output artifact of a job. It is sent when the handler has returned.
local Output = { kind = "output" }
Output.__index = Output

--- Zips a folder's contents, or one file.
function Output:pack(path)
  check.type(path, "a path", "string")
  return tasks.work(self.job.core, "output_pack", self.name, path)
end

--- Takes the bytes as they are.
function Output:write(bytes)
  check.type(bytes, "the bytes", "string")
  return tasks.work(self.job.core, "output_write", self.name, bytes)
end

--- Takes a file's bytes as they are, an archive of the handler's own making for instance.
function Output:file(path)
  check.type(path, "a path", "string")
  return tasks.work(self.job.core, "output_file", self.name, path)
end

--- SHA-256 of what was packed or written, in hexadecimal.
function Output:digest()
  return self.job.core:output_digest(self.name)
end

check.methods(Input, "input")
check.methods(Output, "output")

return { Input = Input, Output = Output }

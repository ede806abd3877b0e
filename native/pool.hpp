// The trainer's threads. Networks wait in a queue and are trained whole, each led by one thread; a thread that finds the
// queue empty helps with a large network until there is another one to take. No result depends on the number of threads
// or on the company.
#pragma once
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

#include "engine.hpp"

namespace schuss {

class Pool {
 public:
  struct Result {
    long key;
    Outcome outcome;
  };

  Pool(Data data, int threads, const Engine &engine) : data_(std::move(data)), engine_(engine), steps_(threads) {
    try {
      for (int i = 0; i < threads; i++) workers_.emplace_back([this, i] { work(steps_[i].count); });
    } catch (...) {  // the system refused a thread; those that run must end before they are destroyed
      close();
      throw;
    }
  }
  ~Pool() { close(); }
  Pool(const Pool &) = delete;
  Pool &operator=(const Pool &) = delete;

  const Data &data() const { return data_; }

  void submit(long key, Plan plan) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      queue_.push_back({key, generation_.load(), std::make_unique<Plan>(std::move(plan))});
      pending_++;
      wanted_ = true;
    }
    ready_.notify_one();
  }

  // Everything finished since the last call; waits for something until the timeout.
  std::vector<Result> poll(double timeout) {
    std::unique_lock<std::mutex> lock(mutex_);
    result_ready_.wait_for(lock, std::chrono::duration<double>(timeout),
                           [this] { return !results_.empty() || pending_ == 0; });
    pending_ -= static_cast<long>(results_.size());
    return std::exchange(results_, {});
  }

  // Running networks stop at their next step and still report; waiting ones are dropped. Later ones run as usual.
  void cancel() {
    const std::lock_guard<std::mutex> lock(mutex_);
    generation_++;
    pending_ -= static_cast<long>(queue_.size());
    queue_.clear();
    wanted_ = closing_;
  }

  long pending() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return pending_;
  }
  long steps() const {
    long sum = 0;
    for (const Counter &counter : steps_) sum += counter.count.load(std::memory_order_relaxed);
    return sum;
  }
  // Parts of a step or an evaluation that were done by other threads than the network's own.
  long helped() const { return helped_.load(std::memory_order_relaxed); }

 private:
  struct Job {
    long key, generation;
    std::unique_ptr<Plan> plan;
  };
  struct alignas(128) Counter {  // a cache line each
    std::atomic<long> count{0};
  };

  void close() {
    cancel();
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      closing_ = wanted_ = true;
    }
    ready_.notify_all();
    for (std::thread &worker : workers_) worker.join();
  }

  void work(std::atomic<long> &steps) {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      Team *team = nullptr;
      ready_.wait(lock, [&] { return closing_ || !queue_.empty() || (team = team_in_want()); });
      if (closing_) return;
      if (queue_.empty()) {
        team->join();
        lock.unlock();
        team->help([this] { return wanted_.load(std::memory_order_relaxed); }, helped_);
        lock.lock();
        continue;
      }
      Job job = std::move(queue_.front());
      queue_.pop_front();
      wanted_ = !queue_.empty();
      lock.unlock();
      Outcome outcome = train(job, steps);
      job.plan.reset();
      lock.lock();
      results_.push_back({job.key, std::move(outcome)});
      result_ready_.notify_all();
    }
  }

  Team *team_in_want() {
    for (Team *team : teams_)
      if (team->wants_help()) return team;
    return nullptr;
  }

  // Lets others join the team while it lives.
  class Offer {
   public:
    Offer(Pool &pool, Team &team) : pool_(pool), team_(team) {
      if (team_.most() == 1) return;
      const std::lock_guard<std::mutex> lock(pool_.mutex_);
      pool_.teams_.push_back(&team_);
      pool_.ready_.notify_all();
    }
    ~Offer() {
      if (team_.most() == 1) return;
      const std::lock_guard<std::mutex> lock(pool_.mutex_);
      pool_.teams_.erase(std::find(pool_.teams_.begin(), pool_.teams_.end(), &team_));
    }
    Offer(const Offer &) = delete;
    Offer &operator=(const Offer &) = delete;

   private:
    Pool &pool_;
    Team &team_;
  };

  // An exception must not end the process: memory for one network may be lacking while others fit.
  Outcome train(const Job &job, std::atomic<long> &steps) {
    Team team(job.plan->useful_threads(data_.train.rows, static_cast<int>(steps_.size())));
    const Offer offer(*this, team);
    Control control{generation_, job.generation, steps, team};
    Outcome failed;
    failed.status = "failed";
    try {
      return engine_.train(*job.plan, data_, control);
    } catch (const std::exception &error) {
      failed.message = error.what();
    }
    return failed;
  }

  const Data data_;
  const Engine &engine_;
  std::mutex mutex_;
  std::condition_variable ready_, result_ready_;  // ready: a job or a team waits, or the end has come
  std::deque<Job> queue_;
  std::vector<Team *> teams_;  // of the running networks that several threads may share
  std::atomic<bool> wanted_{false};  // there is something else to do than to help
  std::vector<Result> results_;
  long pending_ = 0;
  bool closing_ = false;
  std::atomic<long> generation_{0};
  std::vector<Counter> steps_;
  std::atomic<long> helped_{0};
  std::vector<std::thread> workers_;
};

}  // namespace schuss
